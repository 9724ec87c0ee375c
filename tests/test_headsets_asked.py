"""Headsets that are asked by their makers' protocols: only where the site wants it, and nothing else is written."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from edgeagent.headsets import ASKED, EVERY, Headsets, HeadsetSettings
from tests.headsetbed import BT600, CONSUMER, HEADSETS, LINK_390, Model, Shelf, collection, jabra, look, poly, watch

ASK = HeadsetSettings(ask=ASKED)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def asked(headsets: Headsets, shelf: Shelf) -> Mapping[str, int | str]:
    headsets.sample()
    return look(headsets, shelf)


def test_nothing_is_opened_where_the_site_does_not_ask(shelf: Shelf) -> None:
    for port, model in enumerate(HEADSETS):
        shelf.plug(model, f"1-{port}", port)
    headsets = watch(shelf, HeadsetSettings(ask=("logitech",)))
    for _ in range(20):
        look(headsets, shelf, EVERY)
    assert shelf.opened == []
    assert shelf.written == []


def test_only_the_makers_own_reports_are_written_and_only_to_those_named(shelf: Shelf) -> None:
    for port, model in enumerate(HEADSETS):
        shelf.plug(model, f"1-{port}", port)
    shelf.talk = lambda frame: (jabra(b"\0\x32") if frame[0] == 5 else poly(b"\x07\x0b\0\2\xee\1"))(frame)
    headsets = watch(shelf, HeadsetSettings(ask=("poly",)))
    for _ in range(10):
        look(headsets, shelf, EVERY)
    assert {frame[0] for frame in shelf.written} == {6, 7}
    headsets = watch(shelf, ASK)
    for _ in range(20):
        look(headsets, shelf, EVERY)
    assert {frame[0] for frame in shelf.written} == {5, 6, 7}
    assert set(shelf.opened) == {b"/dev/hidraw0", b"/dev/hidraw1", b"/dev/hidraw2"}


@pytest.mark.parametrize(
    ("model", "written"),
    [
        (LINK_390, True),
        (replace(LINK_390, descriptor=CONSUMER + collection(0xFF00, 5, 5, output=5, kept=0x08)), False),
        (replace(LINK_390, descriptor=CONSUMER + collection(0xFF00, 5, 5)), False),
        (replace(LINK_390, descriptor=LINK_390.descriptor + collection(0x0B, 5, 9, output=5)), False),
    ],
    ids=["its-own", "lamps", "no-such-report", "shared-with-telephony"],
)
def test_a_report_that_holds_a_lamp_or_a_hook_is_never_written(shelf: Shelf, model: Model, written: bool) -> None:
    shelf.plug(model)
    shelf.talk = jabra(b"\0\x32")
    asked(watch(shelf, ASK), shelf)
    assert bool(shelf.written) is written


def test_macos_takes_an_opened_device_from_all_others_and_so_none_is_opened(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    shelf.plug(LINK_390)
    asked(watch(shelf, ASK, linux=False), shelf)
    assert shelf.opened == []


def test_the_headset_behind_a_jabra_dongle_is_told_by_its_own_name(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    shelf.talk = jabra(b"\x01\x39\x0f\xa0", name=b"Jabra Evolve2 65", serial=b"00112233")
    answers = asked(watch(shelf, ASK), shelf)
    assert {key: answers[f"headset.{key}"] for key in ("link", "battery", "charging", "model", "serial")} == {
        "link": "connected", "battery": 57, "charging": 1, "model": "Jabra Evolve2 65", "serial": "00112233",
    }  # fmt: skip


def test_a_dongle_says_that_its_headset_is_off_and_both_are_told(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    shelf.talk = jabra(b"\0\x08")
    headsets = watch(shelf, ASK)
    assert asked(headsets, shelf)["headset.link"] == "connected"
    shelf.talk = jabra(0xF3)
    look(headsets, shelf, 90)
    answers = look(headsets, shelf)
    assert (answers["headset.present"], answers["headset.link"], answers["headset.battery"]) == (1, "offline", 8)
    assert "headset.charging" not in answers
    shelf.talk = jabra(b"\1\x0c")
    look(headsets, shelf, 90)
    assert look(headsets, shelf)["headset.battery"] == 12


def test_a_fault_is_the_headsets_and_not_its_dongles(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf, ASK)
    shelf.talk = jabra(b"\0\x39", name=b"Evolve2 65", serial=b"77001122")
    told = [asked(headsets, shelf)]
    for silent in (jabra(0xF3), jabra(), jabra(b"\0\x39")):
        shelf.talk = silent
        look(headsets, shelf, 90)
        told.append(look(headsets, shelf))
    shelf.unplug()
    shelf.plug(LINK_390, number=1)
    told.append(look(headsets, shelf))
    assert {(each["headset.model"], each["headset.serial"]) for each in told} == {("Evolve2 65", "77001122")}


def test_one_lost_answer_makes_no_headset_offline(shelf: Shelf) -> None:
    shelf.plug(BT600)
    shelf.talk = poly(b"\x07\x0b\0\2\xee\1")
    headsets = watch(shelf, ASK)
    assert asked(headsets, shelf)["headset.battery"] == 70
    shelf.talk = poly(None)
    look(headsets, shelf, 90)
    assert look(headsets, shelf)["headset.link"] == "connected"
    assert look(headsets, shelf)["headset.link"] == "offline"


def test_what_was_told_is_forgotten_when_the_device_is_plugged_in_anew(shelf: Shelf) -> None:
    shelf.plug(LINK_390)
    shelf.talk = jabra(b"\0\x39")
    headsets = watch(shelf, ASK)
    assert asked(headsets, shelf)["headset.link"] == "connected"
    shelf.unplug()
    shelf.plug(LINK_390, number=1)
    assert "headset.link" not in look(headsets, shelf)


@pytest.mark.parametrize(("every", "times"), [(1.0, 11), (60.0, 11), (120.0, 6)])
def test_a_headset_is_asked_no_more_often_than_is_good_for_its_radio(shelf: Shelf, every: float, times: int) -> None:
    shelf.plug(LINK_390)
    headsets = watch(shelf, replace(ASK, every=every))
    headsets.sample()
    for _ in range(40):
        look(headsets, shelf)
    assert len(shelf.opened) == times


def test_a_device_that_may_not_be_opened_is_still_seen(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    shelf.plug(LINK_390)
    headsets = watch(shelf, ASK)
    headsets._look(shelf.now)
    shelf.fault = PermissionError(13, "open failed")
    headsets.sample()
    answers = look(headsets, shelf)
    assert answers["headset.present"] == 1
    assert "headset.link" not in answers
    assert "cannot be asked: open failed" in caplog.text


def test_a_device_that_holds_up_its_query_holds_up_nobody_else(shelf: Shelf) -> None:
    free = threading.Event()

    def hold(frame: bytes) -> list[bytes]:
        free.wait(30)
        return []

    shelf.plug(LINK_390)
    shelf.plug(BT600, "1-3")
    shelf.talk = hold
    headsets = watch(shelf, ASK)
    for _ in range(20):
        shelf.now += EVERY
        assert headsets.sample()["headset.count"] == 2
    assert len(shelf.opened) == 1
    free.set()


def test_devices_are_not_listed_in_the_moment_that_one_is_opened_but_at_the_next_look(shelf: Shelf) -> None:
    headsets = watch(shelf, ASK)
    headsets.sample()
    shelf.plug(LINK_390)
    with headsets._opening:
        assert look(headsets, shelf)["headset.count"] == 0
    assert shelf.asked == [0]
    assert look(headsets, shelf)["headset.count"] == 1
