"""What every test may count on: bounded properties, no sockets for pure modules, free ports."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import settings

settings.register_profile("suite", max_examples=100, deadline=None)
settings.register_profile("thorough", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

FILES = ("config", "driverfiles", "endpoint", "seatconfig", "tomlfile", "treefiles")
"""Modules that read files, so no contract calls them pure, yet that have no business with a socket."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the sockets away from test_<module>.py and test_<module>_*.py of each module that must not use one."""
    project = tomllib.loads((config.rootpath / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    pure = next(contract["source_modules"] for contract in contracts if contract.get("id") == "pure")
    names = (*FILES, *(name.removeprefix("*.") for name in pure))
    for item in items:
        if any(f"{item.path.stem}_".startswith(f"test_{name}_") for name in names):
            item.add_marker(pytest.mark.disable_socket)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a function that gives a port of 127.0.0.1 which neither TCP nor UDP uses, another one each time."""
    from tests import broker

    return broker.free_port
