"""What a scenario means on a site: which devices show which inject, what the drill concerns, what a site cannot show."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import injectwords, scenariofiles
from edgeagent.catalog import Text
from edgeagent.config import Site
from edgeagent.drill import DrillRefused
from edgeagent.encode import EncodeError, encode
from edgeagent.items import Item
from edgeagent.readings import Value
from edgeagent.resources import examples
from edgeagent.scenario import Do, Planned, Scenario
from edgeagent.seatrange import seats_of
from edgeagent.simulator import SimulatedDevice
from edgeagent.targets import Unable, plan, scope, unable
from tests.duty import shipped
from tests.hall import CATALOG, Plan, driver, hall


def scenario(*lines: str, named: tuple[str, ...] = (), expect: tuple[str, ...] = ()) -> Scenario:
    timeline = tuple(injectwords.inject(f"at {line}", CATALOG.kinds) for line in lines)
    expects = tuple(injectwords.expectation(line, CATALOG.kinds, shipped()) for line in expect)
    text = Text("Dark", "断电")
    return Scenario("dark", 1, text, text, "outage", scope=named, timeline=timeline, expects=expects)


def park(**drivers: str) -> Site:
    """Build UPSes of these drivers, by id: ups_a="ups/rfc1628"."""
    place = Plan().add("mains", "mains")
    for name, id in drivers.items():
        own = CATALOG.drivers[id]
        place.add(name.replace("_", "-"), own.kind.id)
        place.devices[name.replace("_", "-")] = replace(place.devices[name.replace("_", "-")], driver=own)
    return place.site()


def seated(count: int = 10) -> Site:
    """Build a hall of two switches, seats s000 … in turn at each, with a workstation and a headset, and a host of the house."""
    place = Plan().add("hall", "area").add("ups-a", "ups").add("one", "network", fed=["ups-a"]).add("two", "network")
    place.add("a-host", "workstation")
    for number in range(count):
        seat = f"s{number:03}"
        place.add(seat, "seat", linked=["two" if number % 2 else "one"], area="hall")
        place.add(f"pc-{seat}", "workstation", seat=seat).add(f"hs-{seat}", "headset", seat=seat)
    return place.site()


def shown(site: Site, *lines: str) -> list[str]:
    """Return what is planned: when, at which device, what."""
    found = plan(scenario(*lines), site)
    return [f"{each.at:g} {each.device} {_what(each.do, each.point, each.value)}" for each in found]


def _what(do: Do, point: str, value: Value | None) -> str:
    words = sorted(value) if isinstance(value, frozenset) else [value]
    return f"{point or do} {' '.join(map(str, words))}" if value is not None else point or str(do)


def meant(site: Site, who: str, what: str = "silent") -> list[str]:
    return [each.device for each in plan(scenario(f"0:00 {who} {what}"), site)]


def refused(site: Site, *lines: str) -> Text:
    with pytest.raises(DrillRefused) as caught:
        plan(scenario(*lines), site)
    assert caught.value.code == "no-target"
    return caught.value.text


# Which devices.


def test_what_is_shown_stands_in_the_order_of_time_then_of_the_timeline() -> None:
    lines = ("0:20 ups-b silent", "0:10 every ups source = battery", "0:10 gen state = fault", "9:00 ups-a released")
    assert plan(scenario(*lines), hall().site()) == (
        Planned(1, 10, "ups-a", Do.SET, "source", "battery"),
        Planned(1, 10, "ups-b", Do.SET, "source", "battery"),
        Planned(2, 10, "gen", Do.SET, "state", "fault"),
        Planned(0, 20, "ups-b", Do.SILENT),
        Planned(3, 540, "ups-a", Do.RELEASE),
    )


def test_a_ramp_keeps_its_way() -> None:
    assert plan(scenario("0:10 ups-a battery.charge = 100 -> 60 over 8:00"), hall().site()) == (
        Planned(0, 10, "ups-a", Do.RAMP, "battery.charge", 60.0, 100.0, 480.0),
    )


@pytest.mark.parametrize(
    ("who", "devices"),
    [
        pytest.param("one workstation", "pc-s000", id="one: at a seat before any other"),
        pytest.param("3 workstation", "pc-s000 pc-s001 pc-s002", id="a number: the first by id"),
        pytest.param("3 workstation in two", "pc-s001 pc-s003 pc-s005", id="a number below a switch"),
        pytest.param("every headset in s003", "hs-s003", id="in a seat"),
        pytest.param("99 headset in one", "hs-s000 hs-s002 hs-s004 hs-s006 hs-s008", id="as many as there are"),
        pytest.param("30% of workstation", "pc-s000 pc-s001 pc-s002 pc-s003", id="a share of 11 is rounded up"),
        pytest.param("20% of headset", "hs-s000 hs-s001", id="a share that is whole"),
        pytest.param("1% of headset in hall", "hs-s000", id="the smallest share"),
        pytest.param("seats s001..s002 headset", "hs-s001 hs-s002", id="seats, one kind"),
        pytest.param("seats s001..s002", "pc-s001 hs-s001 pc-s002 hs-s002", id="seats, all of them"),
        pytest.param("any ups", "ups-a", id="any"),
        pytest.param("any generator", "", id="any, of which there is none"),
    ],
)
def test_who_is_meant(who: str, devices: str) -> None:
    assert meant(seated(), who) == devices.split()


def test_what_hangs_on_a_switch_does_not_hang_on_the_ups_of_the_switch() -> None:
    told = refused(seated(), "0:00 every workstation in ups-a silent")
    assert told.en.endswith("there is no workstation in ups-a")


def test_a_share_is_not_rounded_up_for_what_a_computer_cannot_write() -> None:
    assert len(meant(seated(100), "7% of headset")) == 7  # 0.07 x 100 is 7.000000000000001


def test_the_same_words_mean_the_same_devices_throughout() -> None:
    place = park(ups_a="ups/megatec", ups_b="ups/rfc1628")
    # Megatec tells no time left; so "one ups" is the one that can show both.
    lines = ("0:10 one ups source = battery", "0:20 one ups battery.runtime = 60", "9:00 one ups released")
    assert [each.partition(" ")[2].partition(" ")[0] for each in shown(place, *lines)] == ["ups-b"] * 3


def test_devices_that_cannot_show_a_point_are_passed_over() -> None:
    place = park(ups_a="ups/megatec", ups_b="ups/rfc1628")
    assert shown(place, "0:10 every ups source = battery", "0:10 every ups battery.runtime = missing") == [
        "10 ups-a source battery", "10 ups-b source battery", "10 ups-b battery.runtime",
    ]  # fmt: skip


def test_so_is_a_line_that_no_device_can_show_where_the_same_words_show_something_else() -> None:
    place = park(ups_a="ups/megatec")
    assert len(shown(place, "0:10 every ups source = battery", "0:10 every ups battery.runtime = missing")) == 1
    assert refused(place, "0:10 every ups battery.runtime = missing") == Text(
        '"at 0:10 every ups battery.runtime = missing": no ups here can show battery.runtime (ups/megatec)',
        f"“at 0:10 every ups battery.runtime = missing”：本站点没有能显示 battery.runtime 的{CATALOG.kinds['ups'].text.zh} (ups/megatec)",
    )


def test_but_never_one_that_names_its_device() -> None:
    place = park(ups_a="ups/megatec")
    told = refused(place, "0:10 ups-a source = battery", "0:10 ups-a battery.runtime = 60")
    assert (
        told.en
        == '"at 0:10 ups-a battery.runtime = 60": no device at ups-a can show battery.runtime = 60 (ups/megatec)'
    )


def test_a_point_that_a_driver_works_out_is_shown_by_those_it_is_made_of() -> None:
    place = park(gen="generator/dse-gencomm")
    lines = ("0:10 every generator mains.voltage = 0", "0:10 every generator mains.healthy = false")
    assert shown(place, *lines) == ["10 gen mains.voltage 0.0"]


@pytest.mark.parametrize(
    ("id", "what", "expected"),
    [
        pytest.param("ups/rfc1628", "input.voltage = 0", "input.voltage 0.0", id="rows of phases stand for the whole"),
        pytest.param("ups/rfc1628", "input.voltage.l1 = 0", "input.voltage.l1 0.0", id="one phase"),
        pytest.param("ups/rfc1628", "source = eco", None, id="a word that the device does not know"),
        pytest.param("generator/dse-gencomm", "alarms + fail-to-start", "alarms fail-to-start.shutdown", id="an alarm with the gravest grade there is"),
        pytest.param("generator/dse-gencomm", "alarms + fail-to-start.warning", "alarms fail-to-start.warning", id="an alarm with its grade"),
        pytest.param("generator/dse-gencomm", "alarms = fail-to-start, oil-pressure-low", "alarms fail-to-start.shutdown oil-pressure-low.shutdown", id="several"),
        pytest.param("ups/rfc1628", "alarms + fan-fault", "alarms fan-fault", id="an alarm without a grade"),
        pytest.param("ups/rfc1628", "alarms = none", "alarms ", id="no alarm"),
        pytest.param("ups/megatec", "alarms + phase-loss", None, id="an alarm that the device does not know"),
    ],
)  # fmt: skip
def test_a_device_shows_it_in_its_own_words(id: str, what: str, expected: str | None) -> None:
    place = park(x=id)
    if expected is None:
        assert "can show" in refused(place, f"0:00 x {what}").en
    else:
        assert shown(place, f"0:00 x {what}") == [f"0 x {expected}"]


def test_a_contact_is_meant_by_what_it_is_where_it_has_a_place_in_its_name() -> None:
    place = Plan()
    place.add("contacts", "environment")
    items = tuple(Item(point, "flag", (point,)) for point in ("door.back", "door.front", "smoke"))
    own = replace(driver(CATALOG.kinds["environment"]), items=items)
    place.devices["contacts"] = replace(place.devices["contacts"], driver=own)
    lines = (
        "0:10 every environment smoke = true",
        "0:10 one environment door = true",
        "0:20 contacts door.front = true",
    )
    assert shown(place.site(), *lines) == [
        "10 contacts smoke True", "10 contacts door.back True", "20 contacts door.front True",
    ]  # fmt: skip


def test_only_what_was_shown_before_is_taken_back() -> None:
    lines = ("0:10 ups-b silent", "0:20 every ups answers", "0:30 every ups released")
    assert shown(hall().site(), *lines) == ["10 ups-b silent", "20 ups-b answers", "30 ups-b release"]
    told = refused(hall().site(), "0:10 every ups released", "0:20 every ups silent")
    assert told.en == '"at 0:10 every ups released": no ups here shows anything of the drill by then'
    assert told.zh.endswith("此前没有任何模拟")


@pytest.mark.parametrize(
    ("line", "told", "zh"),
    [
        pytest.param("ups-z silent", 'this site has no device "ups-z"', "本站点没有设备“ups-z”", id="device"),
        pytest.param("mains silent", "there is no device at mains", "“mains”没有设备", id="nobody polls it"),
        pytest.param("every ups in attic silent", 'this site has no "attic"', "本站点没有“attic”", id="node"),
        pytest.param("every ups in room silent", "there is no ups in room", "“room”内没有", id="none there"),
        pytest.param("every headset silent", "there is no headset here", "本站点没有", id="none of the kind"),
        pytest.param("seats z1..z3 silent", "there is no device at z1 to z3", "“z1–z3”没有设备", id="seats"),
    ],
)  # fmt: skip
def test_a_line_that_means_no_device_is_refused_in_both_languages(line: str, told: str, zh: str) -> None:
    found = refused(hall().site(), f"0:10 {line}")
    assert found.en == f'"at 0:10 {line}": {told}'
    assert found.zh.startswith(f"“at 0:10 {line}”：{zh}")


# What a site cannot show.


def test_all_that_a_site_cannot_show_is_told_in_the_order_of_the_file() -> None:
    lines = ("0:20 ups-z silent", "0:10 every headset silent", "0:10 any headset silent", "0:30 ups-a silent")
    found = unable(
        scenario(
            *lines,
            named=("hall", "attic"),
            expect=("by 0:20 alarm grid.mains-lost", "never alarm ups-a.on-battery", "never alarm on-battery"),
        ),
        hall().site(),
    )
    assert [(each.table, each.number, each.line) for each in found] == [
        ("scope", 1, "attic"), ("timeline", 0, "at 0:20 ups-z silent"), ("timeline", 1, "at 0:10 every headset silent"),
        ("expect", 0, "by 0:20 alarm grid.mains-lost"),
    ]  # fmt: skip
    assert found[0] == Unable("scope", 1, "attic", Text('this site has no "attic"', "本站点没有“attic”"))


def test_what_is_only_passed_over_is_told_apart() -> None:
    found = unable(
        scenario("0:10 every ups source = battery", "0:10 every ups battery.runtime = 60"), park(a="ups/megatec")
    )
    assert [(each.number, each.passed) for each in found] == [(1, True)]


# What a drill concerns.


def concerns(site: Site, *lines: str, named: tuple[str, ...] = ()) -> set[str]:
    found = scenario(*lines, named=named)
    return set(scope(found, site, plan(found, site)))


def test_a_drill_concerns_what_hangs_on_a_device_and_the_mains_where_that_is_of_the_supply() -> None:
    seats = {f"{part}s{number:03}" for number in range(6) for part in ("", "pc-")}
    assert concerns(hall().site(), "0:10 ups-a source = battery") == {"ups-a", "mains", *seats}


def test_a_cooler_concerns_its_areas_and_what_stands_there_and_no_more() -> None:
    seats = {f"{part}s{number:03}" for number in range(6) for part in ("", "pc-")}
    assert concerns(hall().site(), "0:10 crac alarms + unit-trip") == {"crac", "hall", "room", *seats}


def test_a_seat_s_part_concerns_itself_alone() -> None:
    assert concerns(seated(), "0:10 one headset present = false") == {"hs-s000"}


def test_what_a_scenario_names_is_with_it_and_what_the_site_lacks_is_not() -> None:
    found = concerns(seated(4), "0:10 a-host silent", named=("two", "attic"))
    assert found == {"a-host", "two", "s001", "s003", "pc-s001", "pc-s003", "hs-s001", "hs-s003"}


# For any site.


@given(
    st.permutations(list(seated().devices)),
    st.sampled_from(["one workstation", "4 headset", "35% of workstation in hall", "every headset in two"]),
)
def test_a_plan_does_not_depend_on_the_order_of_the_site_s_files(order: list[str], who: str) -> None:
    site = seated()
    other = replace(site, devices={id: site.devices[id] for id in order})
    told = scenario(f"0:00 {who} silent", f"0:10 {who} answers")
    assert plan(told, site) == plan(told, other)


@given(st.integers(1, 30), st.integers(1, 100))
def test_a_share_is_never_less_than_it_says_and_never_a_whole_device_more(seats: int, share: int) -> None:
    found = len(meant(seated(seats), f"{share}% of headset"))
    assert found - 1 < share * seats / 100 + 1e-9
    assert found >= share * seats / 100 - 1e-9


def test_what_is_planned_can_be_encoded_by_the_drivers_that_it_was_planned_for() -> None:
    place = Plan()
    for id, own in CATALOG.drivers.items():
        if own.kind.id in place.drivers:
            place.add(id.replace("/", "-"), own.kind.id)
            place.devices[id.replace("/", "-")] = replace(place.devices[id.replace("/", "-")], driver=own)
    site = place.site()
    images = {id: SimulatedDevice(device.driver).answers for id, device in site.devices.items()}
    encoded = 0
    for each in scenariofiles.load([examples() / "drills"], CATALOG, shipped()).values():
        if unable(each, site) and not all(lack.passed for lack in unable(each, site)):
            continue  # contacts mean nothing until a site says what they are
        for planned in plan(each, site):
            value = frozenset({str(planned.value)}) if planned.do in (Do.ADD, Do.REMOVE) else planned.value
            if value is None:
                continue
            try:
                encode(site.devices[planned.device].driver, {planned.point: value}, images[planned.device])
            except EncodeError as error:  # a number that is a sentinel there; the drill tells of it
                if "which means" not in str(error):
                    raise
            encoded += 1
    assert encoded > 1000


def test_seats_run_like_those_of_the_site_s_files() -> None:
    seats = seats_of("s001..s003")
    assert not isinstance(seats, str)
    assert injectwords.inject("at 0:00 seats s001..s003 silent", CATALOG.kinds).who.names == tuple(seats)
