"""The state folder: locked against a second agent, and no reason to stop watching when it cannot be used."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from edgeagent.statefolder import Occupied, StateFolder
from edgeagent.store import Batch


def test_a_second_agent_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "state", time.time)
    with pytest.raises(Occupied, match="another agent works in"):
        StateFolder(tmp_path / "state", time.time)
    first.close()
    second = StateFolder(tmp_path / "state", time.time)
    assert second.makeshift is None
    second.close()


@pytest.mark.parametrize("obstacle", ["a file in its place", "a folder where the database should be"])
def test_a_folder_that_cannot_be_used_is_replaced_for_now_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, obstacle: str
) -> None:
    spare = tmp_path / "run"
    spare.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(spare))
    folder = tmp_path / "state"
    if obstacle == "a file in its place":
        folder.write_text("not a folder")
    else:
        (folder / "edgeagent.db").mkdir(parents=True)
    state = StateFolder(folder, time.time)

    async def remember() -> None:
        await state.store.commit(Batch({"alarm/x": {"a": 1}}))

    asyncio.run(remember())
    assert state.store.load_state("alarm/") == {"alarm/x": {"a": 1}}
    assert state.makeshift is not None
    assert str(folder) in caplog.text
    assert list(spare.glob("*/edgeagent.db"))
    state.close()
