"""The promise to the people at the seats: what is not on the list never leaves, whoever measured it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.readings import Missing, Raw
from edgeagent.seatanswers import LARGEST, NUMBERS, PROBED, SERVICES, TEXTS, known, masked, probed, told
from edgeagent.seatreport import Speaker

SALT = "a salt of this site"
LIST = {
    "online", "cpu.percent", "memory.percent", "memory.commit", "disk.percent", "nic.up", "net.errors", "clock.synced",
    "boot.time", "battery.percent", "battery.charging", "softphone", "audio.capture", "audio.render", "serial.count",
    "headset.present", "headset.count", "headset.battery", "headset.charging", "headset.returns", "headset.link",
    "headset.vendor", "headset.model", "headset.firmware", "headset.serial",
    "phone.registered", "phone.reachable", "phone.powered",
}  # fmt: skip
NAMES = [f"{'n' * 19}{number}" for number in range(SERVICES)]
ALL = sorted(NUMBERS | TEXTS) + [f"service.{name}.{figure}" for name in NAMES for figure in PROBED]
RAW: st.SearchStrategy[Raw] = st.one_of(
    st.floats(), st.integers(), st.text(max_size=200), st.binary(max_size=200), st.sampled_from(Missing)
)


def speaker(seat: str = "a017") -> Speaker:
    return Speaker("floor", "hq", seat, "f" * 32, "0123456789ab", 15.0, "1.2.3", SALT)


def test_the_list_is_what_people_were_told_and_nothing_was_added_to_it_in_passing() -> None:
    assert NUMBERS | TEXTS == LIST
    assert PROBED == ("answer", "latency")


@pytest.mark.parametrize(
    "address",
    [
        "user", "user.name", "users", "sessions", "logon.time", "idle", "idle.time", "keyboard", "mouse", "screen",
        "window.title", "url", "process.list", "process.cmdline", "environment", "hostname", "ip.address", "wifi",
        "headset.mute", "headset.hook", "headset.worn", "headset.talk-time", "audio.level", "microphone", "call",
        "service.crm.status", "service.answer", "service..answer", "service.a.b.answer", "service.crm.user",
        "agent.state", "Online", "online ", "",
    ],
)  # fmt: skip
def test_what_a_person_does_has_no_address(address: str) -> None:
    assert not known(address)
    assert told({address: 1}, SALT) == {} == told({address: "text"}, SALT)


@given(st.dictionaries(st.one_of(st.sampled_from(ALL), st.text(max_size=40)), RAW))
def test_whatever_was_measured_only_the_list_is_told_and_only_as_numbers_and_short_texts(
    answers: dict[str, Raw],
) -> None:
    for address, value in told(answers, SALT).items():
        assert known(address)
        text = address in TEXTS or address.endswith(".answer")
        assert isinstance(value, str if text else (int, float))
        assert not isinstance(value, str) or (value.isprintable() and 0 < len(value) <= 48)


@given(st.fixed_dictionaries(dict.fromkeys(ALL, RAW)))
def test_no_report_is_larger_than_the_host_takes(answers: dict[str, Raw]) -> None:
    assert len(speaker("s" * 40).report(answers, 2**53, 1.8e9)) <= LARGEST


def test_the_largest_report_there_can_be_still_fits() -> None:
    answers: dict[str, Raw] = {address: "𝄞" * 99 if address in TEXTS else -123456789012345.6 for address in ALL}
    answers |= {address: "𝄞" * 99 for address in ALL if address.endswith(".answer")}
    assert 2048 < len(speaker("s" * 40).report(answers, 2**53, 1.8e9)) <= LARGEST


def test_a_serial_number_leaves_as_a_hash_by_which_it_is_known_again_at_another_seat() -> None:
    answers = {"headset.serial": "50C275A1B2C3"}
    assert told(answers, SALT) == {"headset.serial": masked("50C275A1B2C3", SALT)}
    assert "50C275" not in json.dumps(told(answers, SALT))
    assert told(answers, SALT) == told({"headset.serial": b"50C275A1B2C3"}, SALT)
    assert told(answers, SALT) != told(answers, "the salt of another site")
    assert told({"headset.serial": "\n"}, SALT) == {}


@pytest.mark.parametrize(
    ("address", "raw", "value"),
    [
        ("cpu.percent", 12.345, 12.3),
        ("boot.time", 1_760_000_000.04, 1_760_000_000.0),
        ("softphone", True, 1),
        ("headset.battery", 80, 80),
        ("cpu.percent", float("nan"), None),
        ("cpu.percent", float("inf"), None),
        ("cpu.percent", 1e300, None),
        ("cpu.percent", "12", None),
        ("cpu.percent", Missing.BUSY, None),
        ("headset.model", "Jabra\x00 Link\n390 ", "Jabra Link390"),
        ("headset.model", b"Link 390", "Link 390"),
        ("headset.model", 390, None),
        ("headset.model", "", None),
        ("service.crm.answer", "silent", "silent"),
        ("service.crm.latency", 12.06, 12.1),
        ("service.crm.latency", Missing.NULL, None),
    ],
)
def test_an_answer_takes_the_shape_in_which_it_leaves(address: str, raw: Raw, value: float | str | None) -> None:
    assert told({address: raw}, SALT) == ({} if value is None else {address: value})


def test_of_a_service_a_seat_tells_the_answer_and_how_long_it_took() -> None:
    heard: dict[str, Raw] = {"answer": "ok", "latency": 8.5, "status": 200, "scheme": b"https"}
    assert probed("crm", heard) == {"service.crm.answer": "ok", "service.crm.latency": 8.5}
    assert all(known(address) for address in probed("crm", heard))
