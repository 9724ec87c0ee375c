"""What the project around the code promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import edgeagent

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]


def plain(name: str) -> str:
    """Return a distribution's name as packaging compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_pin_is_a_name_and_a_version_and_nothing_else() -> None:
    assert [pin for pin in PINS if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin)] == []


def test_everything_asked_for_is_pinned() -> None:
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    pinned = {plain(pin.partition("==")[0]) for pin in PINS}
    names = {match.group() for match in (re.match(r"[A-Za-z0-9._-]+", line) for line in asked) if match}
    assert {name for name in names if plain(name) not in pinned} == set()


@pytest.mark.parametrize(
    "pin", [pin for pin in PINS if plain(pin.partition("==")[0]) in {"pymodbus", "pysnmp", "paho-mqtt"}]
)
def test_the_wire_libraries_are_tested_as_pinned(pin: str) -> None:
    name, _, version = pin.partition("==")
    assert metadata.version(name) == version


def test_the_version_is_in_the_changelog_and_nowhere_else() -> None:
    assert "version" in PROJECT["project"]["dynamic"]
    assert f"## [{edgeagent.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_lint_exclusion_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.flake8-builtins]")]
    codes = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+[0-9]*",', line)]
    assert len(codes) > 30
    assert [line for line in codes if not re.search(r"# \S+", line)] == []


def test_pre_commit_runs_what_make_check_runs_and_fetches_nothing() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert set(re.findall(r"language: (\S+)", hooks)) == {"system"}
    recipe = re.findall(r"^\t\$\(BIN\)/(\S+(?: check| format)?)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    checks = {tool for tool in recipe if tool in {"ruff check", "ruff format", "mypy", "lint-imports"}}
    assert set(re.findall(r"entry: \.venv/bin/(\S+(?: check| format)?)", hooks)) == checks


def test_ci_runs_the_same_targets_as_people() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    targets = re.findall(r"^make (\w+)$", script.read_text(encoding="utf-8"), re.MULTILINE)
    assert targets == ["check", "test"]
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    assert set(targets) <= set(phony.group(1).split())


def test_the_tests_of_pure_modules_have_no_sockets(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    reach_out = "import socket\ndef test_reach_out():\n    socket.socket().close()\n"
    for name in ("rules", "alarms", "alarms_stories", "config", "feed", "alarmsounds"):
        (tmp_path / "tests" / f"test_{name}.py").write_text(reach_out)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", str(tmp_path / "tests")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    verdicts = re.findall(r"^(PASSED|FAILED) tests/test_(\w+)\.py", done.stdout, re.MULTILINE)
    assert {name for verdict, name in verdicts if verdict == "FAILED"} == {
        "rules",
        "alarms",
        "alarms_stories",
        "config",
    }
    assert {name for verdict, name in verdicts if verdict == "PASSED"} == {"feed", "alarmsounds"}


LAYER_OFFENCES = {
    "a lower layer looks up": ("rules.py", "import edgeagent.links"),
    "a pure module asks for the time": ("alarms.py", "import time"),
    "a pure module asks for the time through another": ("flood.py", "from edgeagent.tomlfile import time"),
    "a module without a layer": ("utils.py", ""),
    "paho elsewhere": ("feed.py", "import paho.mqtt.client"),
    "pysnmp elsewhere": ("poller.py", "from pysnmp.proto import api"),
    "pymodbus elsewhere": ("links/snmp.py", "import pymodbus"),
    "psutil elsewhere": ("agent.py", "import psutil"),
    "what runs reads files": ("alarms.py", "from edgeagent import tomlfile"),
    "what runs loads pydantic when it wants it": ("agent.py", "def ask():\n    import pydantic"),
}


def lint_imports(package: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    environ = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=package, env=environ, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of the same name in which every import keeps the contracts."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, text in {
        "__init__.py": "",
        "mqtt.py": "import paho.mqtt.client\nimport socket",
        "links/__init__.py": "import asyncio\nfrom edgeagent import catalog",
        "links/snmp.py": "import pysnmp",
        "links/modbusrtu.py": "import pymodbus",
        "links/host.py": "import psutil",
        "alarms.py": "from edgeagent import rules",
        "rules.py": "from edgeagent import readings",
        "catalog.py": "from edgeagent import rules",
        "tomlfile.py": "import tomllib",
        "readings.py": "",
        "agent.py": "import asyncio\nfrom edgeagent import alarms, links, mqtt",
        "daemon.py": "from edgeagent import agent",
        "cli.py": "from edgeagent import daemon, tomlfile\nimport typer",
    }.items():
        file = tmp_path / "edgeagent" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{text}\n")
    return tmp_path


def test_the_contracts_hold_for_a_package_that_keeps_them(package: Path) -> None:
    done = lint_imports(package)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "line"), LAYER_OFFENCES.values(), ids=LAYER_OFFENCES.keys())
def test_the_contracts_catch(file: str, line: str, package: Path) -> None:
    if "tomlfile" in line:
        (package / "edgeagent" / "tomlfile.py").write_text("import time\n")
    (package / "edgeagent" / file).write_text(f"{line}\n")
    done = lint_imports(package)
    assert done.returncode == 1
    assert "BROKEN" in done.stdout, done.stdout + done.stderr


def test_nothing_shipped_sends_people_to_a_public_index_for_the_project_itself() -> None:
    """The name there is not ours: it is installed from the folder of the source."""
    texts = (path for folder in ("edgeagent", "config") for path in (ROOT / folder).rglob("*") if path.is_file())
    found = [
        str(path.relative_to(ROOT))
        for path in texts
        if path.suffix != ".pyc" and re.search(rb"pip install ['\"]?edgeagent", path.read_bytes())
    ]
    assert found == []
