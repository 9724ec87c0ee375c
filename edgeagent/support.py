"""The bundle that goes to whoever helps: what runs here, how it is configured, what it logged; never a secret.

Owns what is in it and what is taken out: every secret that a credential, a file or a variable holds, what stands where
a community or a password does, serial numbers and hardware addresses, and with `mask` addresses and names of hosts
too. Neither keys nor the secrets themselves are opened for anything else than to take them out. Reads; asks nobody.
"""

from __future__ import annotations

import io
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Final

import orjson

from edgeagent.catalog import Catalog
from edgeagent.config import Site
from edgeagent.log import redact
from edgeagent.masking import Known, Mask, plain

_LINES: Final = 2_000
_PATIENCE: Final = 10.0
_FILES: Final = ("*.toml", "procedures/*.toml", "drills/*.toml")
_URL_PARTS: Final = re.compile(r"\b(community|auth|priv|password|secret|token|passwd|passphrase)=([^&\s\"'#]+)")
_KEPT: Final = re.compile(r"MD5|SHA-?\d*|DES|AES-?\d*|none", re.IGNORECASE)
_SAID: Final = re.compile(
    r"""\b((?:community|password|passwd|passphrase|token|secret|kennwort|密码)["']?\s*[=:：]\s*)("[^"]*"|'[^']*'|[^\s&,;)}]+)""",
    re.IGNORECASE,
)
_USER: Final = re.compile(r"(://[^/\s:@]+):([^/\s@]+)@")


def secrets(folder: Path) -> set[str]:
    """Find all that is secret here: credentials, the folder's secrets, variables, what stands in the files' URLs."""
    found: set[str] = set()
    for place in (folder / "secrets", Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))):
        for file in place.glob("**/*"):
            if file.is_file():
                text = file.read_text(encoding="utf-8", errors="replace")
                found |= {text.strip(), *(line.strip() for line in text.splitlines())}
    found |= {value for name, value in os.environ.items() if name.startswith("EDGEAGENT_")}
    for path in _config(folder):
        text = path.read_text(encoding="utf-8", errors="replace")
        found |= {value for _, value in _URL_PARTS.findall(text) if not _KEPT.fullmatch(value)}
        found |= {value for _, value in _USER.findall(text)}
        found |= {value.strip("\"'") for _, value in _SAID.findall(text) if len(value) > 5}  # else it may be any word
        found |= {word.partition("@")[0] for word in found}  # community@vlan
    return {word for word in found if word}


def cleaner(folder: Path, *, mask: bool) -> Callable[[str], str]:
    """Return what takes out of a text all that may not leave."""
    words = sorted(secrets(folder), key=len, reverse=True)
    # A short one inside a longer word is not given away by it.
    known = re.compile(
        "|".join(re.escape(word) if len(word) > 5 else rf"(?<!\w){re.escape(word)}(?!\w)" for word in words)
    )
    masks = Mask(Known((), frozenset(), frozenset()))
    masks.learn(())

    def clean(text: str) -> str:
        text = known.sub("***", text) if words else text
        text = _SAID.sub(r"\1***", _USER.sub(r"\1:***@", _URL_PARTS.sub(_hidden, redact(text))))
        raw = text.encode()
        return "".join(
            (masks.text(line) if mask else plain(line)).decode(errors="replace")
            for line in raw.splitlines(keepends=True)
        )

    return clean


def _hidden(found: re.Match[str]) -> str:
    return found[0] if _KEPT.fullmatch(found[2]) else f"{found[1]}=***"


def contents(folder: Path, site: Site | None, catalog: Catalog | None, said: str) -> dict[str, str]:
    """Gather the bundle, not cleaned yet, by file name; `site` is None where it is wrong, `said` is the check."""
    found = {"versions.json": _json(versions()), "check.txt": said, "journal.txt": journal()}
    for path in _config(folder):
        found[f"config/{path.relative_to(folder)}"] = path.read_text(encoding="utf-8", errors="replace")
    if catalog is not None:
        kinds = {id: sum(driver.kind.id == id for driver in catalog.drivers.values()) for id in catalog.kinds}
        found["catalogue.json"] = _json({"drivers": len(catalog.drivers), "kinds": kinds})
    if site is not None:
        used = [device.driver.id for device in site.devices.values()]
        found["site.json"] = _json(
            {
                "digest": site.digest,
                "devices": {id: used.count(id) for id in sorted(set(used))},
                "areas": len(site.areas),
            }
        )
        found["store.json"] = _json(store(site.state))
    return found


def write(to: Path, files: Mapping[str, str], clean: Callable[[str], str], now: float) -> None:
    """Write the bundle, readable by its owner alone; every file of it is cleaned here and nowhere else."""
    opener = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opener, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as bundle:
        for name, text in files.items():
            body = clean(text).encode()
            entry = tarfile.TarInfo(f"edgeagent-support/{clean(name)}")
            entry.size, entry.mtime, entry.mode = len(body), int(now), 0o600
            bundle.addfile(entry, io.BytesIO(body))


def versions() -> dict[str, object]:
    """Tell what runs: the agent, Python, the system, every distribution."""
    installed = {each.metadata["Name"]: each.version for each in metadata.distributions() if each.metadata["Name"]}
    return {
        "edgeagent": metadata.version("edgeagent"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "distributions": dict(sorted(installed.items())),
    }


def journal() -> str:
    """Return the last lines of the agent's log where there is a journal."""
    program = shutil.which("journalctl")
    if program is None:
        return "no journal here\n"
    command = [program, "--no-pager", "--no-hostname", "-o", "short-iso", "-u", "edgeagent", "-n", str(_LINES)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the journal cannot be read: {error}\n"
    return (done.stdout or done.stderr).decode(errors="replace")


def store(state: Path) -> dict[str, object]:
    """Count what the state folder holds: bytes by file, rows by table. The agent may be running."""
    if not state.is_dir():
        return {"missing": True}
    files = {path.name: path.stat().st_size for path in sorted(state.iterdir()) if path.is_file()}
    free = shutil.disk_usage(state).free
    return {"files": files, "free": free, "rows": {name: _rows(state / name) for name in files if name.endswith(".db")}}


def _rows(file: Path) -> object:
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=2.0)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608 - own tables
    except sqlite3.Error as error:
        return f"cannot be read: {error}"


def _config(folder: Path) -> Iterable[Path]:
    return [path for pattern in _FILES for path in sorted(folder.glob(pattern)) if path.is_file()]


def _json(data: object) -> str:
    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode() + "\n"
