"""What a site tree costs: an idle pass, a pass with one change, and a fault of all 5,000 seats, with and without it.

The same 6,000 devices are judged once with their tree and once with nothing known of what hangs on what. Ledger, store
and feed are the real ones; nothing is sent. Figures are compared within the run, never with a number from another
machine. CPU is that of this thread: the store's writer works beside it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from edgeagent.config import Site
from edgeagent.readings import Reading
from tests.crowd import SEATS, Office, crowd, without_tree

PASSES: Final = 300
ROUNDS: Final = 7
ONE: Final = "pc-s0007"


@dataclass
class Figures:
    """CPU in ms of one pass of each kind, batches included, and what the fault of all seats left behind."""

    name: str
    idle: float = 0.0
    read: float = 0.0
    change: float = 0.0
    failing: float = 0.0
    failure: float = 0.0
    messages: int = 0
    rows: int = 0

    def __str__(self) -> str:
        passes = f"{self.idle:9.3f} {self.read:9.3f} {self.change:9.3f} {self.failing:9.3f}"
        return f"{self.name:16} {passes} {self.failure:11.0f} {self.messages:9} {self.rows:7}"


def cost(step: Callable[[], None]) -> float:
    """Return the CPU of one step in ms: the middle of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(PASSES // ROUNDS):
            step()
        rounds.append((time.thread_time() - began) / (PASSES // ROUNDS) * 1000)
    return median(rounds)


async def measure(name: str, site: Site, path: Path) -> Figures:
    office, found = Office(site, path), Figures(name)
    office.start()
    office.wait(100, polled=True)
    await office.written()
    ids, numbers = list(office.view), iter(range(1_000_000))

    def pass_over() -> None:
        office.now += 0.01
        office.step()

    def all_read() -> None:
        office.now += 0.01
        office.step(read=ids)

    def change() -> None:
        office.now += 0.01
        office.view[ONE]["cpu"] = Reading(float(next(numbers) % 50), office.now)
        office.step([(ONE, "cpu")], [ONE])

    found.idle, found.read, found.change = cost(pass_over), cost(all_read), cost(change)
    office.wait(30, polled=True)
    await office.written()
    office.clean()
    gc.collect()
    office.say({id: {"softphone": False} for id in ids if id.startswith("pc-")})
    office.wait(60, polled=True)
    found.failure = (office.pass_cpu + office.commit_cpu) * 1000
    found.messages = len(office.messages())
    found.rows = sum(len(batch.state) for batch in office.batches)
    found.failing = cost(change)
    await office.written()
    office.store.close()
    return found


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Leave out what logging costs under pytest: without the tree there are 5,000 lines."""
    logging.getLogger("edgeagent").setLevel(logging.WARNING)


def test_a_tree_costs_little_when_nothing_happens_and_pays_when_all_fails(tmp_path: Path) -> None:
    site = crowd()
    for folder in ("tree", "bare"):
        (tmp_path / folder).mkdir()
    tree = asyncio.run(measure("with a tree", site, tmp_path / "tree"))
    bare = asyncio.run(measure("without", without_tree(site), tmp_path / "bare"))
    print(f"\n{len(site.devices)} devices, {SEATS} seats of them with a workstation each; ms of CPU a pass")
    print("                      idle  all read    change   (failed)  all fail  messages    rows")
    print(tree, bare, sep="\n")
    for name in ("idle", "read", "change", "failing", "failure"):
        print(f"{name:8} {getattr(tree, name) / getattr(bare, name):6.2f} of what it costs without a tree")
    assert tree.messages <= 60 < bare.messages
    assert tree.change < 3 * bare.change
