"""One target in a process of its own: fuzz it for a while, or replay what was found and count the lines.

`python -m tests.fuzz.child fuzz TARGET SECONDS FOLDER` and `python -m tests.fuzz.child lines TARGET FOLDER`. With
atheris the inputs are led by what they reach; without it they are spoilt seeds, which is a search without eyes.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz import targets

FOLLOWED: Final = ["edgeagent", "pyasn1.codec", "pymodbus.framer", "pymodbus.pdu", "http.client"]
"""Whose branches lead the search: ours, and those of libraries that take the bytes apart for us."""
CORPUS: Final = "corpus"
CRASHES: Final = "crashes"


def led(name: str, seconds: int, folder: Path) -> None:
    """Fuzz with atheris; does not return. libFuzzer says on stderr what came of it."""
    import atheris

    with atheris.instrument_imports(include=FOLLOWED):
        target = targets.target(name)
        run = target.build()
    options = [
        f"-max_total_time={seconds}", f"-max_len={target.longest}", "-len_control=0", "-timeout=20",
        "-rss_limit_mb=2048", f"-artifact_prefix={folder / CRASHES}/", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(folder / CORPUS)], run)
    atheris.Fuzz()


def blind(name: str, seconds: int, folder: Path) -> None:
    """Fuzz with spoilt seeds, and say what came of it in libFuzzer's words."""
    from tests.fuzz import mutations

    target = targets.target(name)
    run, seeds = target.build(), [path.read_bytes() for path in sorted((folder / CORPUS).iterdir())]
    chance, end, runs = random.Random(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutations.spoilt(seeds, chance, target.longest)
        runs += 1
        try:
            run(data)
        except BaseException:
            (folder / CRASHES / f"crash-{time.time_ns()}").write_bytes(data)
            raise
    print(f"Done {runs} runs in {seconds} second(s)\nstat::number_of_executed_units: {runs}", file=sys.stderr)


def lines(name: str, folder: Path) -> dict[str, list[int]]:
    """Replay the corpus; return lines reached and lines there are, by module."""
    import coverage

    measured = coverage.Coverage(data_file=None, config_file=False, include=["*/edgeagent/*"])
    measured.start()  # before the import: lines that run once are counted as well
    target = targets.target(name)
    run = target.build()
    for path in sorted((folder / CORPUS).iterdir()):
        run(path.read_bytes())
    measured.stop()
    found = {}
    for module in target.modules:
        _, statements, _, missing, _ = measured.analysis2(str(sys.modules[module].__file__))
        found[module] = [len(statements) - len(missing), len(statements)]
    return found


def main() -> None:
    what, name, *rest = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    if what == "lines":
        print(json.dumps(lines(name, Path(rest[0]))))
        return
    os.environ.pop("CREDENTIALS_DIRECTORY", None)
    (led if importlib.util.find_spec("atheris") else blind)(name, int(rest[0]), Path(rest[1]))


if __name__ == "__main__":
    main()
