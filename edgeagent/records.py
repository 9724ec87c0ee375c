"""The fault records on the feed: made anew from the journal when a run has changed, beside the polling.

Owns when a record is made. It is read from the file by a connection of its own, in a thread: a long story takes its
time, and the pass does not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from edgeagent import faultrecord, messages, recordfeed
from edgeagent.feed import Feed
from edgeagent.journal import Journal, JournalError
from edgeagent.messages import LARGEST, Tree

log = logging.getLogger(__name__)

_PAUSE: Final = 2.0
"""s from a change to the record that has it: what happens together is written together."""


class Records:
    """Keeps the record of each run that is listed on the feed."""

    def __init__(self, database: Path, feed: Feed, tree: Tree, clock: Callable[[], float]) -> None:
        self._database, self._feed, self._tree, self._clock = database, feed, tree, clock
        self._touched: dict[str, None] = {}
        self._wake = asyncio.Event()

    def touch(self, run_ids: Iterable[str]) -> None:
        """Note that these runs have changed."""
        self._touched |= dict.fromkeys(run_ids)
        if self._touched:
            self._wake.set()

    async def run(self) -> None:
        """Write records until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_PAUSE)
            self._wake.clear()
            touched, self._touched = list(self._touched), {}
            for run_id in touched:
                await self._write(run_id)

    async def _write(self, run_id: str) -> None:
        now = self._clock()
        try:
            found = await asyncio.to_thread(_made, self._database, run_id, now)
        except JournalError as error:
            log.warning("no record of %s: %s", run_id, error)
            return
        if found is not None:
            self._feed.hold(messages.state(self._tree.record(run_id), found, now))


def _made(database: Path, run_id: str, now: float) -> Mapping[str, Any] | None:
    """Make one record, no larger than any broker takes: the report has what does not fit."""
    with Journal(database) as journal:
        made = faultrecord.of(journal.run(run_id, now), run_id, now)
    return None if made is None else recordfeed.bounded(recordfeed.record(made), LARGEST)
