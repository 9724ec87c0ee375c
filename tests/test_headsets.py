"""Headsets at a workstation: seen without being touched, and asked only where the site wants it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from serial.tools import list_ports

from edgeagent import seatanswers
from edgeagent.driverfiles import load
from edgeagent.headsets import ADDRESSES, LOOK, MAKERS, Headsets, HeadsetSettings
from edgeagent.resources import drivers
from edgeagent.usbdevices import clean, serial_devices
from tests.headsetbed import (
    ADAPT,
    BT600,
    HEADSETS,
    KEYBOARD,
    LINK_390,
    PRO_X2,
    TELEPHONY,
    Model,
    Shelf,
    cards,
    collection,
    look,
    watch,
)  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


# What is seen


@pytest.mark.parametrize("model", HEADSETS, ids=lambda model: model.name)
def test_a_headset_is_told_by_maker_and_model(shelf: Shelf, model: Model) -> None:
    shelf.plug(model)
    answers = watch(shelf).sample()
    assert answers["headset.present"] == answers["headset.count"] == 1
    assert answers["headset.model"] == model.name
    assert answers["headset.vendor"] == MAKERS[model.vendor].name
    assert answers["headset.firmware"] == "1.20"
    assert not {"headset.link", "headset.battery", "headset.charging"} & set(answers)


@pytest.mark.parametrize(("expected", "present"), [(True, 0), (False, None)])
def test_none_is_missed_only_where_one_is_expected(shelf: Shelf, expected: bool, present: int | None) -> None:
    answers = watch(shelf, HeadsetSettings(expected=expected)).sample()
    assert answers.get("headset.present") == present
    assert answers["headset.count"] == 0


@pytest.mark.parametrize(
    ("model", "seen"),
    [
        (KEYBOARD, 0),
        (replace(KEYBOARD, audio=True), 1),
        (replace(KEYBOARD, descriptor=TELEPHONY), 1),
        (replace(KEYBOARD, vendor=0x0B0E), 1),
        (replace(KEYBOARD, vendor=0x0B0E, descriptor=collection(1, 6, 1)), 0),
        (replace(LINK_390, vendor=0x1234), 0),
    ],
    ids=["keyboard", "with-sound", "with-telephony", "of-a-headset-maker", "no-volume-keys", "unknown-maker"],
)
def test_a_device_is_a_headset_by_its_maker_and_what_it_can(shelf: Shelf, model: Model, seen: int) -> None:
    shelf.plug(model)
    assert watch(shelf).sample()["headset.count"] == seen


def test_a_site_names_the_makers_that_count(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    shelf.plug(BT600, "1-3")
    assert watch(shelf, HeadsetSettings(vendors=(0x047F,))).sample()["headset.vendor"] == "Poly"


def test_what_a_device_says_of_itself_is_cleaned(shelf: Shelf) -> None:
    shelf.plug(replace(ADAPT, name="EPOS\x00\x1b[31m\n" + "x" * 500, serial="\x07" * 9))
    answers = watch(shelf).sample()
    assert answers["headset.model"] == clean("EPOS  [31m " + "x" * 500)
    assert len(str(answers["headset.model"])) <= 64
    assert "headset.serial" not in answers


@pytest.mark.parametrize(("serial", "told"), [("50C275A1B2C3", True), ("0000000000000000", False), ("", False)])
def test_a_serial_number_that_numbers_nothing_is_not_told(shelf: Shelf, serial: str, told: bool) -> None:
    shelf.plug(replace(LINK_390, serial=serial))
    assert ("headset.serial" in watch(shelf).sample()) is told


def test_of_two_headsets_the_one_that_works_is_told(shelf: Shelf) -> None:
    off, on = shelf.plug(PRO_X2), shelf.plug(replace(PRO_X2, serial="123", name="Other"), "1-3")
    for plug, online in ((off, "0"), (on, "1")):
        shelf.battery(f"hidpp_battery_{plug.number}", plug.hid, scope="Device", capacity="50", online=online)
    answers = watch(shelf).sample()
    assert (answers["headset.count"], answers["headset.model"], answers["headset.link"]) == (2, "Other", "connected")


def test_every_address_is_one_that_a_seat_may_report() -> None:
    assert [address for address in ADDRESSES if not seatanswers.known(address)] == []


def test_the_shipped_driver_reads_what_is_sampled(shelf: Shelf) -> None:
    driver = load([drivers()]).drivers["headset/host"]
    assert set(driver.gets) - set(ADDRESSES) == {"agent.state"}


# Coming and going


def test_it_goes_and_comes_back_as_another_hidraw(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf)
    seen = [headsets.sample()]
    shelf.unplug()
    seen.append(look(headsets, shelf))
    shelf.plug(LINK_390, number=7)
    seen.append(look(headsets, shelf))
    assert [(each["headset.present"], each["headset.returns"]) for each in seen] == [(1, 0), (0, 0), (1, 1)]


def test_one_that_was_out_between_two_looks_is_noticed(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf)
    headsets.sample()
    shelf.unplug()
    shelf.plug(LINK_390, number=1)
    answers = look(headsets, shelf)
    assert (answers["headset.present"], answers["headset.returns"]) == (1, 1)


def test_another_headset_is_no_return_and_returns_are_forgotten_after_an_hour(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf)
    headsets.sample()
    shelf.unplug()
    shelf.plug(replace(LINK_390, serial="OTHER"), number=1)
    assert look(headsets, shelf)["headset.returns"] == 0
    shelf.unplug()
    shelf.plug(LINK_390, number=2)
    assert look(headsets, shelf)["headset.returns"] == 1
    assert look(headsets, shelf, 3599)["headset.returns"] == 1
    assert look(headsets, shelf, 1)["headset.returns"] == 0


def test_a_device_that_calls_itself_another_each_time_takes_no_room(shelf: Shelf) -> None:
    headsets = watch(shelf)
    for number in range(100):
        shelf.plug(replace(LINK_390, serial=f"S{number:06}"), number=number)
        look(headsets, shelf)
        shelf.unplug()
    assert len(headsets._past) <= 64


def test_on_linux_devices_are_listed_when_something_changed_and_not_too_often(shelf: Shelf) -> None:
    headsets = watch(shelf)
    for _ in range(10):
        look(headsets, shelf)
    assert shelf.asked == [0]
    shelf.plug(LINK_390)
    look(headsets, shelf)
    shelf.unplug()
    assert look(headsets, shelf, LOOK - 1)["headset.present"] == 1
    assert shelf.asked == [0, 0]
    assert look(headsets, shelf, 1)["headset.present"] == 0
    assert shelf.asked == [0, 0, 0]


def test_elsewhere_each_maker_is_asked_for_by_its_id_and_not_too_often(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    shelf.plug(KEYBOARD, "1-3")
    shelf.plug(replace(KEYBOARD, product=0x0AC4, name="G535 Headset"), "1-4")
    headsets = watch(shelf, linux=False)
    assert headsets.sample()["headset.count"] == 2
    look(headsets, shelf, LOOK - 1)
    assert shelf.asked == sorted(MAKERS)
    assert "audio.capture" not in look(headsets, shelf, 1)
    assert shelf.asked == 2 * sorted(MAKERS)
    shelf.unplug()
    look(headsets, shelf)
    shelf.plug(LINK_390, number=0)
    assert look(headsets, shelf)["headset.returns"] == 1


def test_on_windows_only_makers_that_are_there_are_asked_for_and_only_when_something_changed(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    there = {r"USB\VID_0B0E&PID_2E57\50C275A1B2C3", r"USB\VID_413C&PID_2113\5&1", r"USB\ROOT_HUB30\4&2"}
    headsets = Headsets(
        HeadsetSettings(), api=shelf, serial=lambda: 0, present=lambda: frozenset(there), clock=shelf.clock, linux=False
    )
    for _ in range(10):
        assert look(headsets, shelf)["headset.present"] == 1
    assert shelf.asked == [0x0B0E]
    shelf.plug(BT600, "1-3")
    there.add(r"USB\VID_047F&PID_02EE&MI_03\7&3")
    assert look(headsets, shelf)["headset.count"] == 2
    assert shelf.asked == [0x0B0E, 0x047F, 0x0B0E]


def test_a_list_that_cannot_be_had_is_no_headset_that_is_missing(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf)
    shelf.fault = OSError(5, "Input/output error")
    assert set(headsets.sample()) == {"serial.count"}
    assert "the list of USB devices cannot be had" in caplog.text
    shelf.fault = None
    assert look(headsets, shelf)["headset.present"] == 1


def test_without_hidapi_nothing_is_said_of_headsets(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("hid", "hidraw"):
        monkeypatch.setitem(sys.modules, name, None)
    headsets = Headsets(HeadsetSettings(), shelf.sys, shelf.proc, serial=lambda: 2, clock=shelf.clock, linux=True)
    assert headsets.sample() == {"serial.count": 2}
    assert "pip install '.[seat]'" in caplog.text


# Batteries and sound as the system tells them


def test_a_battery_is_the_headsets_by_where_it_is_or_by_its_number(shelf: Shelf) -> None:
    plug = shelf.plug(LINK_390)
    shelf.battery("BAT0", scope="System", capacity="99", status="Discharging")
    shelf.battery("hidpp_battery_3", scope="Device", capacity="7", status="Discharging")
    assert "headset.battery" not in watch(shelf).sample()
    shelf.battery(f"hid-{LINK_390.serial}-battery", scope="Device", capacity="57", status="Charging")
    assert watch(shelf).sample()["headset.battery"] == 57
    shelf.set(f"/devices/virtual/power_supply/hid-{LINK_390.serial}-battery/scope", "System")
    shelf.battery("x", plug.hid, scope="Device", capacity="58", status="Charging")
    answers = watch(shelf).sample()
    assert (answers["headset.battery"], answers["headset.charging"]) == (58, 1)
    assert "headset.link" not in answers


def test_a_dongle_stays_while_its_headset_goes_flat_with_its_last_charge(shelf: Shelf) -> None:
    plug = shelf.plug(PRO_X2)
    at = f"{plug.hid}/power_supply/hidpp_battery_0"
    shelf.battery("hidpp_battery_0", plug.hid, scope="Device", capacity="9", online="1", status="Discharging")
    headsets = watch(shelf)
    seen = [headsets.sample()]
    shelf.set(f"{at}/online", "0")
    shelf.set(f"{at}/capacity", "")
    seen.append(look(headsets, shelf))
    told = [(each["headset.present"], each["headset.link"], each["headset.battery"]) for each in seen]
    assert told == [(1, "connected", 9), (1, "offline", 9)]
    assert "headset.charging" not in seen[1]


@pytest.mark.parametrize(
    ("status", "link"), [("connected", "connected"), ("disconnected", "offline"), ("unknown", None)]
)
def test_the_kernel_tells_of_a_receiver_whether_its_headset_is_there(
    shelf: Shelf, status: str, link: str | None
) -> None:
    shelf.set(f"{shelf.plug(ADAPT).face}/wireless_status", status)
    assert watch(shelf).sample().get("headset.link") == link


@pytest.mark.parametrize("charge", ["", "-1", "1000", "4²", "full"])
def test_a_battery_that_says_nonsense_says_nothing(shelf: Shelf, charge: str) -> None:
    shelf.battery("x", shelf.plug(ADAPT).hid, scope="Device", capacity=charge, status="Strange")
    assert not {"headset.battery", "headset.charging"} & set(watch(shelf).sample())


def test_sound_is_that_of_the_headset_and_without_one_that_of_any_card(shelf: Shelf) -> None:
    headsets = watch(shelf)
    assert not {"audio.capture", "audio.render"} & set(headsets.sample())
    plug = shelf.plug(LINK_390)
    cards(shelf.proc, [plug], capture=False)
    answers = look(headsets, shelf)
    assert (answers["audio.capture"], answers["audio.render"]) == (0, 1)
    cards(shelf.proc, [replace(plug, model=ADAPT)])
    answers = look(headsets, shelf)
    assert (answers["audio.capture"], answers["audio.render"]) == (0, 0)
    shelf.unplug()
    answers = look(headsets, shelf)
    assert (answers["audio.capture"], answers["audio.render"]) == (1, 1)


@pytest.mark.parametrize("fault", [OSError(), TypeError("int() argument must be …, not 'NoneType'"), ValueError()])
def test_a_serial_device_that_goes_in_the_moment_that_it_is_counted_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail() -> list[object]:
        raise fault

    monkeypatch.setattr(list_ports, "comports", fail)
    assert serial_devices() is None
