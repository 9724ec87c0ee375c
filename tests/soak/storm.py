"""A storm of faults over one agent, and an oracle that knows from the devices' story what must have been heard.

    python -m tests.soak.storm SECONDS [SEED]

Two honest UPSes show one alarm after another, each held long enough to be seen if it can be seen. Around them one UPS
is dead, one slow, one lies and one flaps; wires are pulled, the broker stops, the disk is full, the agent is killed
and reloaded. The oracle takes nothing from the agent: an alarm must have been told when its device showed it for
`SEEN` s while the agent ran and the wire was in; none may be told that its device never showed; each that was raised
is cleared in the end; and the numbers of all events have no hole but those that a gap event tells.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.broker import Mosquitto, until
from tests.field import Simulated, Wire
from tests.rig import TOPICS, Daemon, Ear, device, write_site

URL: Final = "snmp://127.0.0.1:{port}?version=2c&community=kept"
SEEN: Final = 5.0
"""s for which an alarm has to stand before it must have been told: a device that was silent is asked less often."""
SLACK: Final = 4.0
TURNS: Final = (
    "battery-replace", "battery-low", "over-temperature", "output-bad", "bypass-unavailable", "charger-fault",
    "output-off", "fan-fault", "internal-fault", "test-failed", "shutdown-imminent",
)  # fmt: skip
HONEST: Final = ("ups-a", "ups-b")


@dataclass
class Shown:
    """One alarm that a device showed, from when until when, epoch s."""

    alarm: str
    begin: float
    end: float = 0.0


@dataclass
class Span:
    """When something was so, as (begin, end), epoch s."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    since: float | None = None

    def begin(self) -> None:
        if self.since is None:
            self.since = time.time()

    def end(self) -> None:
        if self.since is not None:
            self.spans.append((self.since, time.time()))
            self.since = None

    def spoils(self, begin: float, end: float) -> bool:
        """Tell whether there is no stretch of `SEEN` s between the two that it leaves alone."""
        at = begin
        for from_, to in sorted(self.spans):
            if to <= at or from_ >= end:
                continue
            if from_ - at >= SEEN:
                return False
            at = to
        return end - at < SEEN


class Storm:
    """Everything that takes part, and what happened to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance, self.seed = folder, random.Random(seed), seed
        self.story: list[Shown] = []
        self.up: dict[str, Shown | None] = dict.fromkeys(HONEST)
        self.turn = dict.fromkeys(HONEST, 0)
        self.blind = {id: Span() for id in HONEST}
        self.did: Counter[str] = Counter()
        self.full: Path | None = None
        self.broker_up = True

    @contextmanager
    def stage(self) -> Iterator[Storm]:
        """Set everything up, and take it down again."""
        with ExitStack() as stack:
            (self.folder / "broker").mkdir()
            lasting = ["persistence true", f"persistence_location {self.folder / 'broker'}/", "max_queued_messages 0"]
            self.broker = stack.enter_context(Mosquitto(self.folder / "broker", lasting))
            self.upses = {
                id: stack.enter_context(Simulated("ups/rfc1628", URL.format(port=0)))
                for id in (*HONEST, "slow", "liar", "flapper")
            }
            self.wires = {id: stack.enter_context(Wire()) for id in (*HONEST, "flapper", "dead")}
            for id, wire in self.wires.items():
                if id != "dead":
                    wire.plug(self.upses[id].port)
            self.upses["slow"].tell("state slow 1.5")
            self.upses["liar"].tell("state lying")
            self._mount(stack)
            self._write(interval=2.0)
            self.ear = stack.enter_context(Ear(self.broker.port))
            self.daemon = stack.enter_context(Daemon(self.folder / "site"))
            yield self

    def _mount(self, stack: ExitStack) -> None:
        state = self.folder / "site" / "state"
        state.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(state)]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        if self.mounted:
            stack.callback(subprocess.run, ["umount", "-l", str(state)], check=True)

    def _write(self, interval: float) -> None:
        at_once: dict[str, dict[str, object]] = {type: {"on_delay": 0, "off_delay": 0} for type in TURNS}
        devices = [
            device(id, "ups/rfc1628", URL.format(port=self.wires[id].port), at_once, interval=0.2, timeout=0.5)
            for id in HONEST
        ]
        for id in ("slow", "liar", "flapper", "dead"):
            port = self.wires[id].port if id in self.wires else self.upses[id].port
            devices.append(device(id, "ups/rfc1628", URL.format(port=port), interval=interval, timeout=0.5))
        write_site(self.folder / "site", self.broker.port, *devices)

    # What happens.

    def run(self, seconds: float) -> None:
        """Let it rage."""
        ends = time.monotonic() + seconds
        due = dict.fromkeys(HONEST, 0.0)
        trouble = time.monotonic() + 2.0
        while time.monotonic() < ends:
            now = time.monotonic()
            for id in HONEST:
                if now >= due[id]:
                    self._turn(id)
                    due[id] = now + self.chance.uniform(6.0, 9.0) if self.up[id] else now + 1.0
            if now >= trouble:
                self._strike()
                trouble = time.monotonic() + self.chance.uniform(0.3, 2.0)
            time.sleep(0.02)

    def _turn(self, id: str) -> None:
        shown = self.up[id]
        if shown is None:
            type = TURNS[self.turn[id] % len(TURNS)]
            self.turn[id] += 1
            shown = Shown(f"{id}.{type}", time.time())
            self.upses[id].tell(f"set alarms={type}")
            self.story.append(shown)
            self.up[id] = shown
        else:
            shown.end = time.time()
            self.upses[id].tell("set alarms=")
            self.up[id] = None

    def _strike(self) -> None:
        strikes: list[Callable[[], None]] = [self.pull, self.flap, self.broke, self.reload]
        strikes.append(self.free if self.full is not None else self.kill)
        if self.mounted and self.full is None:
            strikes.append(self.fill)
        strike = self.chance.choice(strikes)
        self.did[strike.__name__] += 1
        strike()

    def pull(self) -> None:
        id = self.chance.choice(HONEST)
        if self.blind[id].since is None and self.wires[id]._target is not None:
            self.blind[id].begin()
            self.wires[id].pull()
            time.sleep(self.chance.uniform(0.3, 2.0))
            self.wires[id].plug(self.upses[id].port)
            self.blind[id].end()

    def flap(self) -> None:
        for _ in range(self.chance.randrange(1, 6)):
            self.wires["flapper"].pull()
            time.sleep(self.chance.uniform(0.0, 0.2))
            self.wires["flapper"].plug(self.upses["flapper"].port)

    def broke(self) -> None:
        if self.broker_up:
            self.broker.stop()
        else:
            self.broker.start()
        self.broker_up = not self.broker_up

    def kill(self) -> None:
        for span in self.blind.values():
            span.begin()
        self.daemon.kill()
        self.daemon.start()
        for span in self.blind.values():
            span.end()

    def reload(self) -> None:
        self._write(self.chance.choice((1.0, 2.0, 3.0)))
        self.daemon.reload()

    def fill(self) -> None:
        self.full = self.folder / "site" / "state" / "filler"
        with self.full.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)) == 4096:
                    pass
            except OSError:
                pass

    def free(self) -> None:
        if self.full is not None:
            self.full.unlink()
            self.full = None
            # Until the store has caught up, a kill may lose what nobody promised to keep.
            until(lambda: self.daemon.now.count("disk refuses") == self.daemon.now.count("takes writes again"), 20)

    def heal(self) -> None:
        """End the storm, and wait until the feed has come to rest."""
        if not self.broker_up:
            self.broke()
        self.free()
        for id in HONEST:
            if self.up[id] is not None:
                self._turn(id)
        until(lambda: not self._standing(), 60)
        time.sleep(SLACK)
        assert self.daemon.stop() == 0

    def _standing(self) -> list[str]:
        """Return which alarms of the honest the reader still takes for standing."""
        alarms = [f"{id}.{type}" for id in HONEST for type in TURNS]
        records = {alarm: self.ear.record(alarm) for alarm in alarms}
        return [alarm for alarm, record in records.items() if record and not record["is_cleared"]]

    # The oracle.

    def findings(self) -> list[str]:
        """Return what is not as it must be."""
        events = self.ear.events()
        found = [f"{shown.alarm}, shown {shown.end - shown.begin:.1f} s at {_clock(shown.begin)}, was never raised"
                 for shown in self.musts() if not self._told(shown, events)]  # fmt: skip
        for event in events:
            alarm, verb = event["subject"], event["data"]["verb"]
            if alarm.split(".")[0] in HONEST and alarm.split(".")[1] in TURNS and verb == "raised":
                at = _epoch(event["time"])
                shown = [it for it in self.story if it.alarm == alarm and it.begin - 1 <= at <= it.end + SLACK]
                if not shown and not self._taken_up(alarm, at):
                    found.append(f"{alarm} was raised at {_clock(at)}, and its device did not show it")
        for alarm in {event["subject"] for event in events if event["subject"].split(".")[0] in HONEST}:
            verbs = [event["data"]["verb"] for event in events if event["subject"] == alarm]
            # What chatters is held for the quiet time, which outlasts the storm; no device shows one fault that often.
            ends = ("cleared",) if alarm.split(".")[1] in TURNS else ("cleared", "oscillating")
            last = [verb for verb in verbs if verb in ("raised", *ends)]
            if last and last[-1] not in ends:
                found.append(f"{alarm} never ended: {verbs}")
        return found + self._holes()

    def musts(self) -> list[Shown]:
        """Return what must have been told."""
        return [it for it in self.story if not self.blind[it.alarm.split(".")[0]].spoils(it.begin, it.end)]

    def _told(self, shown: Shown, events: list[dict[str, Any]]) -> bool:
        return any(
            event["subject"] == shown.alarm and event["data"]["verb"] == "raised"
            and shown.begin - 1 <= _epoch(event["time"]) <= shown.end + SLACK
            for event in events
        )  # fmt: skip

    def _taken_up(self, alarm: str, at: float) -> bool:
        """Tell whether the device went silent with the alarm: what cannot be read is neither raised nor cleared."""
        blind = self.blind[alarm.split(".", maxsplit=1)[0]].spans
        return any(
            it.alarm == alarm and begin <= it.end + 1 and it.end <= end and at <= end + SLACK
            for it in self.story for begin, end in blind
        )  # fmt: skip

    def _holes(self) -> list[str]:
        seqs: set[int] = set()
        told: set[int] = set()
        for message in list(self.ear.messages):
            if not re.match(rf"{re.escape(TOPICS)}/event/", message["topic"]):
                continue
            event = json.loads(message["payload"])
            if message["topic"].endswith("/gap"):
                told.update(range(event["data"]["from_seq"], event["data"]["to_seq"] + 1))
            if "seq" in event:
                seqs.add(event["seq"])
        missing = sorted(set(range(1, max(seqs, default=0) + 1)) - seqs - told)
        return [f"numbers that no event and no gap accounts for: {missing}"] if missing else []


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at))


def rage(folder: Path, seconds: float, seed: int) -> tuple[str, list[str]]:
    """Run one storm; return its figures in one line, and the findings."""
    with Storm(folder, seed).stage() as storm:
        storm.run(seconds)
        storm.heal()
        found = storm.findings()
        figures = (
            f"seed {seed}: {len(storm.story)} faults shown, {len(storm.musts())} must be told, "
            f"{len(storm.ear.events())} events, {dict(sorted(storm.did.items()))}"
            f"{'' if storm.mounted else ', no disk of our own'}: {len(found)} findings"
        )
        if found:
            sys.stdout.write(storm.daemon.log[-20_000:])
    return figures, found


if __name__ == "__main__":
    length = float(sys.argv[1])
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else random.SystemRandom().randrange(1_000_000)
    with tempfile.TemporaryDirectory() as temporary:
        line, wrong = rage(Path(temporary), length, chosen)
    sys.stdout.write("\n".join([line, *wrong, ""]))
    sys.exit(bool(wrong))
