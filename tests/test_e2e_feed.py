"""From a real device to a real consumer: snmpsim and pymodbus on one side, mosquitto on the other."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.broker import Listener, Mosquitto, needs_mosquitto, until
from tests.field import CAPTURES, ON_BATTERY, Controller, SnmpSim, Wire, needs_captures, needs_snmpsim, varied
from tests.rig import TOPICS, Daemon, Ear, device, write_site

pytestmark = [needs_mosquitto, needs_captures, needs_snmpsim, pytest.mark.slow]

INTERVAL: Final = 0.5
ON_DELAY: Final = 0.5
OFF_DELAY: Final = 1.0
TOLERANCE: Final = 1.0
"""What two busy cores may add, in s."""
QUICK: Final = {"on_delay": ON_DELAY, "off_delay": OFF_DELAY}
ON: Final = "ups.on-battery"
LOST: Final = "genset.mains-lost"
SILENT: Final = "ups.unreachable"
WRONG: Final = "ups.profile-mismatch"
STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Cards:
    """Three network cards: of a UPS on mains, of the same UPS on battery, and of something else."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        real = CAPTURES / "abbups_abbups.snmprec"
        (folder / "other").mkdir()
        shutil.copy(CAPTURES / "powerwalker.snmprec", folder / "other" / "ups.snmprec")
        served = {
            "mains": varied(real, folder / "mains", {}),
            "battery": varied(real, folder / "battery", ON_BATTERY),
            "other": folder / "other",
        }
        self.mains, self.battery, self.other = (
            stack.enter_context(SnmpSim(data, folder / f"cache-{name}")).port for name, data in served.items()
        )


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cards]:
    with ExitStack() as stack:
        yield Cards(tmp_path_factory.mktemp("cards"), stack)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


def ups(wire: Wire, driver: str = "ups/rfc1628") -> str:
    url = f"snmp://127.0.0.1:{wire.port}?version=2c&community=ups"
    return device("ups", driver, url, {"on-battery": QUICK}, interval=INTERVAL, timeout=0.4)


def flat(payload: dict[str, Any]) -> bool:
    """Tell whether a state's readings are plain values, as other people's tools want them."""
    return all(not isinstance(value, dict) or name in ("units", "quality") for name, value in payload.items())


def test_a_mains_failure_is_on_the_feed_within_one_interval_and_the_delay(
    tmp_path: Path, broker: Mosquitto, wire: Wire, cards: Cards
) -> None:
    wire.plug(cards.mains)
    with Controller() as genset, Ear(broker.port) as ear:
        site = write_site(
            tmp_path / "site", broker.port, ups(wire),
            device(
                "genset", "generator/dse-gencomm", f"modbus://127.0.0.1:{genset.port}?unit=10",
                {"mains-lost": QUICK}, interval=INTERVAL,
            ),
        )  # fmt: skip
        with Daemon(site) as daemon:
            until(lambda: (ear.state("ups") or {}).get("source") == "normal" and ear.state("genset"))
            assert ear.events() == []
            assert ear.listed() == set()

            rises, falls = [], []
            for turn in (1, 2, 3):  # the machine may stand still for a moment, but not each time
                switched = wire.plug(cards.battery)
                genset.write(1059, 0, 0, 0, 0, 0, 0, 0)
                genset.write(2058, 0x1121)
                raised = {alarm: ear.until_raised(alarm, times=turn) for alarm in (ON, LOST)}
                assert {event["topic"] for event in raised.values()} == {f"{TOPICS}/event/alarm/critical"}
                rises.append(max(event["came"] for event in raised.values()) - switched)
                if turn == 1:
                    until(lambda: ear.listed() == {ON, LOST})
                    late_comer_reads(broker.port)
                    the_event_is_as_the_standard_says(raised[ON])
                    assert set(ear.verbs()) == {"raised"}

                switched = wire.plug(cards.mains)
                genset.write(1059, 500, 0, 2298, 0, 2301, 0, 2305)
                genset.write(2058, 0x1111)
                cleared = [ear.until_cleared(alarm, times=turn) for alarm in (ON, LOST)]
                assert {event["topic"] for event in cleared} == {f"{TOPICS}/event/alarm/critical"}, "as the raise"
                assert all(event["came"] - switched >= OFF_DELAY for event in cleared)
                falls.append(max(event["came"] for event in cleared) - switched)
                if max(min(rises) - ON_DELAY, min(falls) - OFF_DELAY) < INTERVAL + TOLERANCE:
                    break
            print(f"on the feed {min(rises):.2f} s after it was so, cleared after {min(falls):.2f} s, at {INTERVAL} s")
            assert min(rises) < INTERVAL + ON_DELAY + TOLERANCE
            assert min(falls) < INTERVAL + OFF_DELAY + TOLERANCE
            assert ear.record(ON)["is_cleared"] is True
            assert ear.record(ON)["state"] == "rtn-unack"
            everything_is_json(ear)
            assert [event["seq"] for event in ear.events()] == list(range(1, len(ear.events()) + 1))
            assert daemon.stop() == 0
            until(lambda: ear.newest(f"{TOPICS}/agent/edge-1/status")["state"] == "offline")
            assert ear.newest(f"{TOPICS}/agent/edge-1/status")["reason"] == "stop"


def late_comer_reads(port: int) -> None:
    """See that the record and the list are there for whoever comes later."""
    with Listener(port, f"{TOPICS}/#") as late:
        record = until(lambda: late.on(f"{TOPICS}/alarm/{ON}"))[0]
        assert record["retain"] == 1
        assert record["payload"]["is_cleared"] is False
        assert record["payload"]["raise_count"] == 1
        assert record["payload"]["perceived_severity"] == "critical"
        assert record["payload"]["texts"]["zh"]["short_text"] == "ups 号 已转为电池供电"
        snapshot = until(lambda: late.newest(f"{TOPICS}/alarms"))
        assert {alarm["alarm_id"] for alarm in snapshot["open"]} == {ON, LOST}
        assert snapshot["counts"]["critical"] == 2
        inventory = until(lambda: late.newest(f"{TOPICS}/inventory"))
        assert {"ups", "genset"} <= inventory["devices"].keys()
        assert until(lambda: late.newest(f"{TOPICS}/agent/edge-1/status"))["state"] == "online"
        assert until(lambda: late.newest(f"{TOPICS}/agent/edge-1/health"))["trouble"] == []
        for id in ("ups", "genset"):
            assert until(partial(late.newest, f"{TOPICS}/device/{id}/availability"))["state"] == "online"
            assert flat(until(partial(late.newest, f"{TOPICS}/device/{id}/state")))
        assert not [message for message in late.messages if "/event/" in message["topic"]], "events are not retained"


def the_event_is_as_the_standard_says(event: dict[str, Any]) -> None:
    """See that an event has the fields of CloudEvents 1.0 and of RFC 8632."""
    envelope = {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "data",
        "seq",
        "boot",
        "mode",
    }
    assert envelope <= event.keys()
    assert event["specversion"] == "1.0"
    assert event["id"] == f"{event['boot']}-{event['seq']}"
    assert event["mode"] == "live"
    assert all(re.fullmatch(r"[a-z0-9]+", name) for name in event)
    record = {
        "alarm_id", "resource", "alarm_type_id", "alarm_type_qualifier", "event_type", "probable_cause",
        "perceived_severity", "is_cleared", "alarm_text", "short_text", "recommended_action", "time_created",
        "last_raised", "last_changed", "last_cleared", "raise_count", "operator_state", "operator", "operator_text",
        "operator_time", "latched", "suppression", "first_out", "root_cause_resource", "impacted_resource",
        "related_alarm", "value", "mode", "exercise_id",
    }  # fmt: skip
    data = event["data"]
    assert record <= data.keys()
    assert len(data["short_text"]) <= 160
    assert (data["event_type"], data["probable_cause"]) == ("equipment", "batteryDischarging")
    assert data["suppression"].keys() >= {"kind", "by", "reason", "until"}
    for stamp in (event["time"], data["onset"], data["last_raised"], data["last_changed"], data["time_created"]):
        assert STAMP.fullmatch(stamp), stamp
    assert data["onset"] <= data["last_raised"]


def everything_is_json(ear: Ear) -> None:
    for message in ear.messages:
        if message["payload"]:
            assert isinstance(json.loads(message["payload"]), dict), message["topic"]


def test_silence_neither_raises_nor_clears_a_fault(tmp_path: Path, broker: Mosquitto, wire: Wire, cards: Cards) -> None:
    wire.plug(cards.mains)
    with Ear(broker.port) as ear, Daemon(write_site(tmp_path / "site", broker.port, ups(wire))):
        until(lambda: (ear.state("ups") or {}).get("source") == "normal")

        wire.pull()
        ear.until_raised(SILENT)
        state = until(lambda: (found := ear.state("ups"))["source"] is None and found)
        assert state["quality"]["source"] == {"quality": "bad", "reason": "timeout"}
        assert until(lambda: ear.newest(f"{TOPICS}/device/ups/availability"))["state"] == "offline"
        wire.plug(cards.mains)
        ear.until_cleared(SILENT)
        assert ear.newest(f"{TOPICS}/device/ups/availability")["state"] == "online"
        assert [(event["subject"], event["data"]["verb"]) for event in ear.events()] == [
            (SILENT, "raised"), (SILENT, "cleared"),
        ]  # fmt: skip

        wire.plug(cards.battery)
        ear.until_raised(ON)
        wire.pull()
        ear.until_raised(SILENT, times=2)
        assert ear.record(ON)["is_cleared"] is False
        until(lambda: ear.record(ON)["value"]["quality"] == "bad")
        assert {ON, SILENT} <= ear.listed()
        wire.plug(cards.battery)
        ear.until_cleared(SILENT, times=2)
        until(lambda: ear.state("ups")["source"] == "battery")
        assert ear.verbs(ON) == ["raised"]

        wire.pull()
        ear.until_raised(SILENT, times=3)
        switched = wire.plug(cards.mains)
        assert ear.until_cleared(ON)["came"] - switched > OFF_DELAY, "silence counts for no delay"
        assert ear.verbs(ON) == ["raised", "cleared"]


def test_another_device_in_its_place_is_a_mismatch_and_nothing_else(
    tmp_path: Path, broker: Mosquitto, wire: Wire, cards: Cards
) -> None:
    wire.plug(cards.other)
    with Ear(broker.port) as ear, Daemon(write_site(tmp_path / "site", broker.port, ups(wire))):
        assert ear.until_raised(WRONG)["topic"] == f"{TOPICS}/event/alarm/major"
        polls = time.monotonic() + 4 * INTERVAL
        until(lambda: time.monotonic() > polls)
        assert ear.verbs() == ["raised"]
        state = until(lambda: ear.state("ups"))
        assert state["identity"] == "mismatch"
        assert state["source"] is None
        assert state["quality"]["source"]["reason"] == "profile-mismatch"

        wire.plug(cards.battery)
        ear.until_cleared(WRONG)
        ear.until_raised(ON)

        wire.pull()
        ear.until_raised(SILENT)
        wire.plug(cards.other)
        ear.until_raised(WRONG, times=2)
        until(lambda: SILENT not in {alarm for alarm in ear.listed() if not ear.record(alarm)["is_cleared"]})
        assert ear.verbs(ON) == ["raised"], "what another device says clears nothing"
