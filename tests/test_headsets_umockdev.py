"""Headsets on a mocked machine: through hidapi, sysfs, pyserial and psutil as they are."""

from __future__ import annotations

import psutil

from edgeagent import usbdevices
from edgeagent.headsets import ASKED, Headsets, HeadsetSettings
from edgeagent.links.host import HostLink
from edgeagent.readings import Missing
from tests.headsetbed import ADAPT, BT600, EVOLVE2, HEADSETS, KEYBOARD, LINK_390, PRO_X2, jabra, poly
from tests.headsetdesk import Desk, needs_umockdev, play

pytestmark = needs_umockdev


def watch(desk: Desk, settings: HeadsetSettings = HeadsetSettings()) -> Headsets:  # noqa: B008
    return Headsets(settings, proc=desk.root / "proc", clock=desk.clock)


def look(headsets: Headsets, desk: Desk, after: float = 15.0) -> dict[str, int | str]:
    headsets.close()
    desk.now += after
    return {key.removeprefix("headset."): value for key, value in headsets.sample().items()}


def _each_comes_goes_and_returns(desk: Desk) -> object:
    seen = {}
    for model in HEADSETS:
        headsets = watch(desk)
        told = [look(headsets, desk)]
        for _ in range(2):
            desk.cards(desk.plug(model))
            told.append(look(headsets, desk))
            desk.unplug()
            desk.cards()
            told.append(look(headsets, desk))
        seen[model.name] = told
    return seen


def test_a_headset_appears_goes_and_comes_back_as_another_hidraw() -> None:
    seen = play(_each_comes_goes_and_returns)
    assert list(seen) == [model.name for model in HEADSETS]
    for model in HEADSETS:
        told = seen[model.name]
        assert [each["present"] for each in told] == [0, 1, 0, 1, 0]
        assert [each["returns"] for each in told] == [0, 0, 0, 1, 1]
        assert told[1] == {**told[3], "returns": 0}
        assert told[1]["model"] == model.name
        assert told[1]["firmware"] == "1.20"
        assert ("serial" in told[1]) is (model is not PRO_X2)
        assert (told[1]["audio.capture"], told[1]["audio.render"]) == (1, 1)
        assert (told[2]["audio.capture"], told[2]["audio.render"]) == (0, 0)
    assert [told[1]["vendor"] for told in seen.values()] == ["Jabra", "Jabra", "Poly", "Logitech", "EPOS"]


def _a_full_desk(desk: Desk) -> object:
    for port, model in enumerate((*HEADSETS, KEYBOARD)):
        desk.plug(model, f"1-{port + 1}")
    return look(watch(desk), desk)["count"]


def test_all_headsets_of_a_full_desk_are_counted_and_the_keyboard_is_not() -> None:
    assert play(_a_full_desk) == len(HEADSETS)


def _blink(desk: Desk) -> object:
    headsets = watch(desk)
    desk.plug(ADAPT)
    look(headsets, desk)
    desk.unplug()
    desk.plug(ADAPT, "1-3")
    return look(headsets, desk)["returns"]


def test_a_headset_that_was_out_for_a_blink_has_returned() -> None:
    assert play(_blink) == 1


def _kernel_battery(desk: Desk) -> object:
    plug = desk.plug(LINK_390)
    name = f"hid-{plug.model.serial}-battery"
    path = desk.battery(name, plug.hid, scope="Device", type="Battery", capacity="57", status="Discharging")
    headsets = watch(desk)
    seen = [look(headsets, desk)]
    for charge, status in (("12", "Discharging"), ("9", "Charging")):
        desk.set(path, "capacity", charge)
        desk.set(path, "status", status)
        seen.append(look(headsets, desk))
    return [(each["battery"], each["charging"]) for each in seen]


def test_a_battery_that_the_kernel_knows_falls_and_is_charged() -> None:
    assert play(_kernel_battery) == [[57, 0], [12, 0], [9, 1]]


def _logitech(desk: Desk) -> object:
    plug = desk.plug(PRO_X2)
    path = desk.battery(
        "hidpp_battery_0", plug.hid, scope="Device", type="Battery", capacity="8", status="Discharging", online="1"
    )
    headsets = watch(desk)
    seen = [look(headsets, desk)]
    desk.set(path, "online", "0")
    desk.set(path, "capacity", "0")
    seen.append(look(headsets, desk))
    return [(each["present"], each["link"], each["battery"]) for each in seen]


def test_a_logitech_receiver_stays_while_its_headset_is_off() -> None:
    told = play(_logitech)
    assert told[0] == [1, "connected", 8]
    assert told[1][:2] == [1, "offline"]


def _trap(desk: Desk) -> object:
    plug = desk.plug(LINK_390)
    name = f"hid-{plug.model.serial}-battery"
    desk.battery(name, plug.hid, scope="Device", type="Battery", capacity="57", status="Discharging", energy_now="57",
                 energy_full="100", power_now="1")  # fmt: skip
    trapped = psutil.sensors_battery()
    machine = HostLink().sample(["battery.percent"])["battery.percent"]
    return None if trapped is None else trapped.percent, look(watch(desk), desk)["battery"], str(machine)


def test_psutil_takes_the_headset_for_the_machine_and_we_do_not() -> None:
    psutils, headset, machine = play(_trap)
    assert psutils == 57, "psutil looks at the scope now: the trap is gone"
    assert headset == 57
    assert machine == Missing.ABSENT


def _machine_battery(desk: Desk) -> object:
    desk.battery("BAT0", type="Battery", capacity="80", status="Discharging")
    desk.battery("BAT1", scope="System", type="Battery", capacity="81", status="Discharging")
    return [battery.name for battery in usbdevices.batteries()]


def test_the_battery_of_a_notebook_is_no_headsets() -> None:
    assert play(_machine_battery) == []


def _jabra(desk: Desk) -> object:
    """Talk to a Link 390 over its hidraw: there with an event in between, then off."""
    plug = desk.plug(LINK_390)
    there, off = jabra(b"\x01\x39\x0f\xa0", name=b"Evolve2 65", serial=b"77001122"), jabra(0xF3)
    asks = [bytes((5, 4, 0, number, 0x46, *what)).ljust(64, b"\0") for number, what in
            enumerate(((0x12, 2), (2, 0), (2, 1)))]  # fmt: skip
    headsets = watch(desk, HeadsetSettings(ask=ASKED))
    seen = []
    for talk, frames in ((there, asks), (off, asks[:1])):
        desk.says(plug, [step for ask in frames for step in (("w", ask), *(("r", frame) for frame in talk(ask)))])
        look(headsets, desk, 120)
        seen.append(look(headsets, desk))
        desk.unplug()
        plug = desk.plug(LINK_390)
    return seen


def test_a_jabra_dongle_tells_its_headset_and_stays_when_that_is_off() -> None:
    there, off = play(_jabra)
    assert (there["link"], there["battery"], there["charging"], there["model"], there["serial"]) == (
        "connected", 57, 1, "Evolve2 65", "77001122",
    )  # fmt: skip
    assert (off["present"], off["link"], off["model"]) == (1, "offline", "Evolve2 65")
    assert off["battery"] == 57, "what it last said"


def _corded(desk: Desk) -> object:
    plug = desk.plug(EVOLVE2)
    talk = jabra(0xF5, 0xFF)
    asks = [bytes((5, to, 0, number, 0x46, 0x12, 2)).ljust(64, b"\0") for to, number in ((4, 0), (8, 3))]
    desk.says(plug, [step for ask in asks for step in (("w", ask), *(("r", frame) for frame in talk(ask)))])
    headsets = watch(desk, HeadsetSettings(ask=("jabra",)))
    look(headsets, desk)
    return look(headsets, desk)["link"]


def test_a_jabra_headset_on_the_cable_is_wired() -> None:
    assert play(_corded) == "wired"


def _poly(desk: Desk) -> object:
    plug = desk.plug(BT600)
    talk = poly(b"\x06\x0b\x00\x02\xee\x01")
    head = bytes((7, 1, 1, 0x10))
    asks = [b"\x06\x01"] + [
        (head + bytes(rest)).ljust(64, b"\0")
        for rest in ((7, 0, 0, 0, 1, 1, 2), (7, 0x20, 0, 0, 1, 1, 2), (6, 0x20, 0, 0, 2, 0x0A, 0x1A))
    ]
    desk.says(plug, [step for ask in asks for step in (("w", ask), *(("r", frame) for frame in talk(ask)))])
    headsets = watch(desk, HeadsetSettings(ask=("poly",)))
    look(headsets, desk)
    told = look(headsets, desk)
    return told["link"], told["battery"], told["charging"]


def test_a_poly_dongle_tells_its_headset() -> None:
    assert play(_poly) == ["connected", 60, 0]


def _serial(desk: Desk) -> object:
    headsets = watch(desk)
    seen = [look(headsets, desk)]
    desk.serial("ttyACM0", "1-7")
    seen.append(look(headsets, desk))
    return [each["serial.count"] for each in seen]


def test_a_base_on_a_serial_line_is_counted() -> None:
    assert play(_serial) == [0, 1]
