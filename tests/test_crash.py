"""What a crash leaves of the store: a copy taken at any byte, torn pages, kill -9, disks and clocks that fail."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from edgeagent.messages import GAP, Keep, Message, Place
from edgeagent.statefolder import StateFolder
from edgeagent.store import Batch, Entry, Store, StoreError
from tests.broker import Mosquitto, needs_mosquitto, until
from tests.field import Simulated
from tests.rig import ROOT, Daemon, Ear, device, environment, write_site

NOW: Final = 1_700_000_000.0
SECTOR: Final = 512
SEED: Final = int(os.environ.get("SEED") or random.randrange(1_000_000))
"""`SEED=n` in the environment repeats a run."""


def batch(store: Store, number: int, at: float = NOW) -> Batch:
    """One transition: state, journal, the record on its topic and the event; large enough to touch many pages."""
    seq, resource = store.next_seq(), f"alarm/{number % 5}"
    body = json.dumps({"n": number, "filled": "x" * (number * 37 % 900)}).encode()
    event = Message(f"event/{number}", body, Place.EVENT, keep=Keep.INFO, seq=seq, born=at)
    record = Message(resource, body, Place.STATE, retain=True, born=at)
    return Batch({resource: {"n": number}}, [Entry("raised", at, {"n": number})], [record, event])


@contextmanager
def opened(path: Path, clock: Callable[[], float] = lambda: NOW) -> Iterator[Store]:
    store = Store(path, clock=clock)
    try:
        yield store
    finally:
        store.close()


def whole(store: Store) -> int:
    """See that each batch is there with all its parts or not at all; return how many there are."""
    written = [entry.body["n"] for entry in store.journal()]
    assert written == list(range(1, len(written) + 1))
    newest = {f"alarm/{n % 5}": n for n in written}
    assert {key: body["n"] for key, body in store.load_state("alarm/").items()} == newest
    rows = [row.message for row in store.next_rows(10_000)]
    assert [json.loads(it.body)["n"] for it in rows if it.place is Place.EVENT] == written
    assert {it.topic: json.loads(it.body)["n"] for it in rows if it.place is Place.STATE} == newest
    assert store.seq == len(written)
    return len(written)


class Storm:
    """Copies of one store's two files: after each batch, then before and after a checkpoint."""

    def __init__(self, folder: Path, batches: int = 60) -> None:
        path = folder / "edge.db"
        self.logs: list[bytes] = []
        with opened(path) as store:

            async def run() -> None:
                for number in range(1, batches + 1):
                    await store.commit(batch(store, number))
                    self.logs.append(path.with_name("edge.db-wal").read_bytes())

            asyncio.run(run())
            self.before = path.read_bytes()
            with closing(sqlite3.connect(path)) as other:
                other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.after = path.read_bytes()
        self.log = self.logs[-1]


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    print("seed", SEED)
    return Storm(tmp_path_factory.mktemp("storm"))


def laid(folder: Path, database: bytes, log: bytes) -> Path:
    folder.mkdir()
    (folder / "edge.db").write_bytes(database)
    (folder / "edge.db-wal").write_bytes(log)
    return folder / "edge.db"


def test_a_copy_that_ends_at_any_byte_has_each_batch_whole_or_not_at_all(tmp_path: Path, storm: Storm) -> None:
    chance = random.Random(SEED)
    ends = [0, 1, 31, 32, 33, len(storm.log), *(chance.randrange(len(storm.log)) for _ in range(60))]
    for end in sorted(ends):
        committed = sum(len(log) <= end for log in storm.logs)
        with opened(laid(tmp_path / f"{end}-{chance.random()}", storm.before, storm.log[:end])) as store:
            assert whole(store) == committed, f"seed {SEED}, {end} bytes of the log"
    assert list(tmp_path.rglob("*corrupt*")) == []


def test_a_sector_that_was_never_written_ends_the_log_before_it(tmp_path: Path, storm: Storm) -> None:
    chance = random.Random(SEED)
    for turn in range(40):
        at = chance.randrange(32, len(storm.log)) // SECTOR * SECTOR
        torn = storm.log[:at] + chance.choice((bytes(SECTOR), chance.randbytes(SECTOR))) + storm.log[at + SECTOR :]
        committed = sum(len(log) <= at for log in storm.logs)
        with opened(laid(tmp_path / f"{turn}", storm.before, torn[: len(storm.log)])) as store:
            found = whole(store)
        assert found == committed or torn[: len(storm.log)] == storm.log, f"seed {SEED}, sector at {at}"


def test_a_checkpoint_cut_off_anywhere_costs_nothing(tmp_path: Path, storm: Storm) -> None:
    chance, everything = random.Random(SEED), len(storm.logs)
    assert len(storm.after) > len(storm.before), "the checkpoint has to have written something"
    old = storm.before.ljust(len(storm.after), b"\0")
    for turn in range(40):
        sectors = range(0, len(storm.after), SECTOR)
        torn = b"".join(chance.choice((old, storm.after))[at : at + SECTOR] for at in sectors)
        with opened(laid(tmp_path / f"{turn}", torn, storm.log)) as store:
            assert whole(store) == everything, f"seed {SEED}, turn {turn}"


def test_whatever_is_left_of_a_file_opens_and_what_is_corrupt_is_moved_aside_and_said(
    tmp_path: Path, storm: Storm, caplog: pytest.LogCaptureFixture
) -> None:
    chance, asides = random.Random(SEED), 0
    for turn in range(60):
        database = bytearray(storm.after)
        if turn % 2:
            at = chance.randrange(len(database))
            database[at : at + 4096] = chance.randbytes(min(4096, len(database) - at))
        else:
            del database[chance.randrange(len(database)) :]
        folder = tmp_path / f"{turn}"
        caplog.clear()
        with opened(laid(folder, bytes(database), b"")) as store:
            before = len(store.journal())
            asyncio.run(_commit(store, batch(store, 1_000)))
            assert len(store.journal()) == before + 1, f"seed {SEED}, turn {turn}: it does not go on"
        aside = list(folder.glob("edge.db.corrupt-*"))
        assert bool(aside) is ("is corrupt" in caplog.text)
        asides += bool(aside)
    assert asides > 10, "hardly a file was corrupt"


def test_500_kills_over_10000_transitions_lose_none_and_repeat_none_under_another_id(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.killstorm", str(tmp_path), "500", "10000", str(SEED)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert said.returncode == 0, f"seed {SEED}: {said.stderr[-3000:]}"
    heard = [json.loads(line) for line in (tmp_path / "heard").read_text().splitlines()]
    print(said.stdout, "seed", SEED, "heard", len(heard), "twice", len(heard) - len({it["id"] for it in heard}))
    first: dict[int, int] = {}
    for it in heard:
        assert first.setdefault(int(it["id"]), it["n"]) == it["n"], f"seed {SEED}: one id, two contents: {it}"
    assert len(first) >= 10_000
    assert list(first) == sorted(first), f"seed {SEED}: order"
    assert list(first.values()) == list(range(1, len(first) + 1)), f"seed {SEED}: a transition is lost"
    assert list(first) == list(first.values()), f"seed {SEED}: a number was given out that nobody heard"


@needs_mosquitto
@pytest.mark.slow
def test_an_agent_whose_store_is_corrupt_says_so_and_tells_anew_what_stands(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    url = "snmp://127.0.0.1:{port}?version=2c&community=kept"
    with Mosquitto(tmp_path / "broker") as broker, Simulated("ups/rfc1628", url.format(port=0)) as ups:
        at_once = {"fan-fault": {"on_delay": 0}}
        ups_a = device("ups-a", "ups/rfc1628", url.format(port=ups.port), at_once, interval=0.2)
        site = write_site(tmp_path / "site", broker.port, ups_a)
        with Ear(broker.port) as ear, Daemon(site) as daemon:
            ups.tell("set alarms=fan-fault")
            first = ear.until_raised("ups-a.fan-fault")
            daemon.kill()
            for part in (site / "state").glob("edgeagent.db-*"):
                part.unlink()
            (site / "state" / "edgeagent.db").write_bytes(random.Random(SEED).randbytes(50_000))
            daemon.start()
            assert "is corrupt" in daemon.now
            again = ear.until_raised("ups-a.fan-fault", times=2)
            assert first["id"] != again["id"]
            until(lambda: "ups-a.fan-fault" in ear.listed())
            assert list((site / "state").glob("edgeagent.db.corrupt-*"))


# Disks.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB of our own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Callable[[], None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    return filler.unlink


def test_a_full_disk_keeps_every_batch_in_memory_and_then_writes_it(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(disk / "edge.db") as store:

        async def run() -> None:
            await store.commit(batch(store, 1))
            freed = fill(disk)
            for number in range(2, 40):
                told: list[StoreError | None] = []

                def hear(error: StoreError | None, _: object, told: list[StoreError | None] = told) -> None:
                    told.append(error)

                with suppress(StoreError):
                    await store.commit(batch(store, number), hear)
                await asyncio.sleep(0)  # what is refused at once is told when the loop comes round
                assert told == [None] or (told[0] is not None and told[0].kept)
            assert store.trouble is not None
            assert "full" in store.trouble
            events = [row for row in store.next_rows(1_000) if row.message.place is Place.EVENT]
            assert len(events) == 39, "what waits for the disk can be sent"
            freed()
            async with asyncio.timeout(30):
                while store.trouble is not None:  # noqa: ASYNC110 - the writer thread tries once a second
                    await asyncio.sleep(0.05)

        asyncio.run(run())
        assert whole(store) == 39
    assert "the disk refuses" in caplog.text


def test_a_full_disk_at_the_start_is_said_and_does_not_end_the_agent(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    fill(disk)
    folder = StateFolder(disk / "state", lambda: NOW)
    try:
        assert folder.makeshift is not None
        assert folder.readings(NOW)["store"] == "failing"
        asyncio.run(_commit(folder.store, batch(folder.store, 1)))
    finally:
        folder.close()
    assert "cannot be used" in caplog.text


def test_a_read_only_disk_at_the_start_is_said_and_does_not_end_the_agent(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with opened(disk / "edgeagent.db") as store:
        asyncio.run(_commit(store, batch(store, 1)))
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    folder = StateFolder(disk, lambda: NOW)
    try:
        assert folder.makeshift is not None
        asyncio.run(_commit(folder.store, batch(folder.store, 1)))
    finally:
        folder.close()
    assert "cannot be used" in caplog.text


# Clocks.


def test_what_happened_before_the_clock_was_set_is_not_too_old_once_it_is(tmp_path: Path) -> None:
    at = 12.0
    with opened(tmp_path / "edge.db", lambda: at) as store:

        async def run() -> None:
            nonlocal at
            await store.commit(batch(store, 1, at))
            at = NOW
            for number in (2, 3):
                await store.commit(batch(store, number, at))
                at += 61  # the journal is bounded once a minute

        asyncio.run(run())
        assert whole(store) == 3
        assert store.depth().oldest == NOW


@pytest.mark.parametrize("step", [3600.0, -3600.0, 86_400.0 * 3650, -86_400.0 * 300])
def test_a_clock_that_steps_drops_nothing_of_now(tmp_path: Path, step: float) -> None:
    at = NOW
    with opened(tmp_path / "edge.db", lambda: at) as store:

        async def run() -> None:
            nonlocal at
            await store.commit(batch(store, 1, at))
            at += step
            await store.commit(batch(store, 2, at))
            at -= step
            await store.commit(batch(store, 3, at))

        asyncio.run(run())
        kept = [row.message.topic for row in store.next_rows(100) if row.message.place is Place.EVENT]
    told = GAP in kept
    assert kept[-2:] == ["event/2", "event/3"]
    assert told or "event/1" in kept, "what goes is told"


async def _commit(store: Store, what: Batch) -> None:
    await store.commit(what)
