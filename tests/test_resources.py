from __future__ import annotations

from pathlib import Path

import pytest

from edgeagent import resources

ROOT = Path(__file__).parent.parent


def test_a_checkout_uses_its_own_folders() -> None:
    assert resources.drivers() == ROOT / "drivers"
    assert resources.examples() == ROOT / "config"


def test_a_packaged_folder_comes_before_a_neighbour_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "edgeagent")
    for folder in ("edgeagent/drivers", "edgeagent/examples", "drivers", "config"):
        (tmp_path / folder).mkdir(parents=True)
    assert resources.drivers() == tmp_path / "edgeagent" / "drivers"
    assert resources.examples() == tmp_path / "edgeagent" / "examples"


def test_a_broken_installation_says_which_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "edgeagent")
    with pytest.raises(FileNotFoundError, match="drivers is there; install the agent again"):
        resources.drivers()
