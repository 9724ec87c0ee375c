"""The package as other people get it: a wheel made from the sdist and an editable install, used outside the checkout.

Both environments borrow the libraries of the one that runs the tests: what is tried is our package, not theirs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import edgeagent
from tests.broker import until
from tests.rig import device, write_site

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


def run(command: Sequence[str | Path], folder: Path) -> str:
    """Run a command outside the checkout, with nothing of ours on its path, and return what it printed."""
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def installed(folder: Path, *what: str | Path) -> Path:
    """Make an environment in which only our package is new, install it and return the folder of its programs."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip())
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    run([*pip, "--no-index", "--no-deps", "--no-build-isolation", *what], folder)
    return folder / "bin"


def folders(python: Path, outside: Path) -> tuple[Path, Path]:
    """Return where an installed package finds its drivers and its example site."""
    code = "from edgeagent import resources; print(resources.drivers(), resources.examples(), sep='\\n')"
    drivers, examples = run([python, "-c", code], outside).splitlines()
    return Path(drivers), Path(examples)


def driver_names(folder: Path) -> set[str]:
    """Return `kind/model` of each driver file."""
    return {f"{file.parent.name}/{file.stem}" for file in folder.glob("*/*.toml") if file.name != "kind.toml"}


def watched(command: Sequence[str | Path], site: Path) -> None:
    """Let the installed program watch a site outside the checkout, read it again, and end."""
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    log = site.parent / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen([*command, "run", "--config", site], cwd="/", env=environ, stderr=out) as agent,
    ):
        try:
            until(lambda: "first pass after" in log.read_text() or agent.poll() is not None)
            words = Path(f"/proc/{agent.pid}/cmdline").read_bytes().decode().split("\0")
            given = [*map(str, command), "run", "--config", str(site)]
            assert words[1:-1] in (given, given[1:]), (
                "it is called what it was called: a script, or Python with all flags"
            )
            assert "pydantic" not in Path(f"/proc/{agent.pid}/maps").read_text()
            agent.send_signal(signal.SIGHUP)
            until(lambda: "configuration taken over" in log.read_text())
            agent.terminate()
            assert agent.wait(30) == 0
        finally:
            agent.kill()
            sys.stdout.write(log.read_text())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build the sdist from a copy of the tree and the wheel from the sdist."""
    tree = tmp_path_factory.mktemp("checkout") / "edgeagent"
    unwanted = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "dist", "build")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    (tree / "config" / "mosquitto" / "broker.key").write_text("an operator's own key")
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree], out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def test_the_sdist_holds_what_building_and_testing_need(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "constraints.txt", "Makefile", ".ci/run", "LICENSE", "README.md", "CHANGELOG.md"}
    for folder in ("edgeagent", "drivers", "config", "systemd", "tests", "docs"):
        files = (file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        wanted |= {file.relative_to(ROOT).as_posix() for file in files}
    assert wanted - names == set()


def test_the_wheel_holds_data_beside_code_and_no_key_that_lay_about(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = set(archive.namelist())
    prefix = f"edgeagent-{edgeagent.__version__}"
    assert f"{prefix}.data/data/lib/systemd/system/edgeagent.service" in names
    assert f"{prefix}.dist-info/licenses/LICENSE" in names
    assert {
        "edgeagent/py.typed",
        "edgeagent/examples/mosquitto/mosquitto.conf",
        "edgeagent/examples/mosquitto/acl",
    } <= names
    assert {f"edgeagent/drivers/{name}.toml" for name in driver_names(ROOT / "drivers")} <= names
    assert not any(name.endswith(".key") or name.startswith("tests/") for name in names)


def test_a_wheel_works_outside_the_checkout(built: tuple[Path, Path], tmp_path: Path) -> None:
    programs = installed(tmp_path / "venv", built[1])
    package = Path(run([programs / "python", "-c", "import edgeagent; print(edgeagent.__path__[0])"], tmp_path).strip())
    assert package.is_relative_to(tmp_path)
    assert folders(programs / "python", tmp_path) == (package / "drivers", package / "examples")
    assert (tmp_path / "venv" / "lib" / "systemd" / "system" / "edgeagent.service").is_file()

    catalogue = run([programs / "edgeagent", "drivers", "--json"], tmp_path)
    assert json.loads(catalogue)
    names = driver_names(ROOT / "drivers")
    assert names
    assert {name for name in names if f'"{name}"' not in catalogue} == set()
    assert "probe" in run([programs / "python", "-m", "edgeagent", "--help"], tmp_path)
    commands: list[list[str | Path]] = [
        [programs / "edgeagent"],
        [programs / "python", "-X", "utf8", "-m", "edgeagent"],
    ]
    for command in commands:
        watched(command, write_site(tmp_path / "site", 1, device("here", "workstation/host", "host://")))


def test_an_editable_install_finds_the_folders_of_its_checkout(tmp_path: Path) -> None:
    programs = installed(tmp_path / "venv", "--editable", ROOT)
    assert folders(programs / "python", tmp_path) == (ROOT / "drivers", ROOT / "config")
    assert json.loads(run([programs / "edgeagent", "drivers", "--json"], tmp_path))
