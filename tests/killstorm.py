"""A process that only commits and hands on, killed again and again; what its reader has heard is the judge.

    python -m tests.killstorm FOLDER KILLS TRANSITIONS SEED

Each life is a fork of this process, which has imported everything and runs no thread: a life costs milliseconds. It
opens the store, goes on with the story where its journal ends, three transitions at once, and hands committed events
to the reader, a file that outlives it. Last line on stdout: the figures as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from edgeagent.messages import Keep, Message, Place
from edgeagent.store import Batch, Entry, Store

RESOURCES = 7


def batch(store: Store, number: int) -> Batch:
    """Write down one transition: the state of its resource, a line of the journal, its record and its event."""
    seq, resource = store.next_seq(), f"alarm/{number % RESOURCES}"
    body = json.dumps({"id": f"{seq}", "n": number}).encode()
    event = Message("event", body, Place.EVENT, keep=Keep.RAISE, seq=seq, born=time.time())
    record = Message(resource, body, Place.STATE, retain=True, born=time.time())
    return Batch({resource: {"n": number}}, [Entry("raised", time.time(), {"n": number})], [record, event])


async def live(store: Store, reader: int, last: int | None) -> None:
    """Go on with the story, until `last` if there is one, and hand on what is committed."""
    number = max((body["n"] for body in store.load_state("alarm/").values()), default=0)
    while True:
        batches = [] if last is not None and number >= last else [batch(store, number + k) for k in (1, 2, 3)]
        number += len(batches)
        await asyncio.gather(*map(store.commit, batches))
        rows = store.next_rows(20)
        if last is not None and not rows and not batches:
            return
        for row in rows:
            if row.message.place is Place.EVENT:
                os.write(reader, row.message.body + b"\n")
        store.delete([row.id for row in rows])
        if not batches:
            await store.commit(Batch())


def life(folder: Path, told: int, last: int | None) -> NoReturn:
    """Be one life: say how long the store took to open, then go on until killed, or until all is told."""
    began = time.perf_counter()
    store = Store(folder / "edge.db")
    os.write(told, f"{1000 * (time.perf_counter() - began):.2f}\n".encode())
    reader = os.open(folder / "heard", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    asyncio.run(live(store, reader, last))
    store.close()
    os._exit(0)


def storm(folder: Path, kills: int, transitions: int, seed: int) -> dict[str, float]:
    """Kill at random moments, opening included; let the last life come to its end."""
    chance, told = random.Random(seed), os.open(folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for _ in range(kills):
        pid = os.fork()
        if pid == 0:
            life(folder, told, None)
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    pid = os.fork()
    if pid == 0:
        life(folder, told, transitions)
    _, status = os.waitpid(pid, 0)
    assert status == 0, "the last life failed"
    opened = sorted(float(line) for line in (folder / "told").read_text().split())
    return {
        "kills": kills,
        "lives that opened the store": len(opened),
        "opened p50 ms": opened[len(opened) // 2],
        "opened p99 ms": opened[int(len(opened) * 0.99)],
        "opened max ms": opened[-1],
    }


if __name__ == "__main__":
    gc.freeze()
    sys.stdout.write(json.dumps(storm(Path(sys.argv[1]), *map(int, sys.argv[2:]))) + "\n")
