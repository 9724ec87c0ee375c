"""Ask one device once: what is asked of whom, in which order, and what comes of it."""

# ruff: noqa: E501 - a table has one row a line

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from edgeagent import probe as module
from edgeagent.alarm import Rule
from edgeagent.catalog import AlarmType, Catalog, Driver, Kind, Level, Point, PointType, Severity, Text
from edgeagent.endpoint import Endpoint, parse
from edgeagent.fit import SYS_DESCR, SYS_OBJECT_ID, SYSTEM, Sure
from edgeagent.items import Identify, Item, Quirks, Variant
from edgeagent.links import Plan, Target
from edgeagent.probe import Found, NoAnswer, NoDriver, identify, plan_of, probe, raised, read, spelled
from edgeagent.readings import Answers, Missing, Quality, Raw, Reading
from edgeagent.rules import parse as condition

TEXT = Text("x", "x")
NOW = 1_700_000_000.0


def alarm(id: str, *limits: tuple[str, float | None], each: str | None = None) -> AlarmType:
    levels = tuple(
        Level(severity, condition(when), limit)
        for severity, (when, limit) in zip((Severity.MINOR, Severity.MAJOR), limits, strict=False)
    )
    return AlarmType(id, TEXT, TEXT, levels, "equipment", "pumpFailure", each=each)


KIND = Kind(
    "pump",
    TEXT,
    {
        "flow": Point("flow", PointType.NUMBER, TEXT, "L"),
        "runs": Point("runs", PointType.FLAG, TEXT),
        "alarms": Point("alarms", PointType.SET, TEXT),
    },
    {
        "dry": alarm("dry", ("flow < limit", 2.0), ("flow < limit", 1.0)),
        "stopped": alarm("stopped", ("not runs", None)),
        "leak": alarm("leak", ("alarms has leak", None)),
        "vendor": alarm("vendor", each="alarms"),
    },
    frozenset({"testing"}),
)
FLOW = Item("flow", "number", ("h1",), type="u16")


def driver(
    id: str, *ways: Identify, items: tuple[Item, ...] = (FLOW,), protocol: str = "modbus", **more: object
) -> Driver:
    return replace(Driver(f"pump/{id}", KIND, protocol, TEXT, "made up", ways, items), **more)  # type: ignore[arg-type]


def has(register: str, number: int, rank: int = 20) -> Identify:
    return Identify(rank, equals={register: frozenset({number})})


class FakeLink:
    """A device without a wire: it gives `answers`, and to what it does not know `otherwise`."""

    def __init__(self, answers: Answers, otherwise: Missing = Missing.ABSENT) -> None:
        self.answers, self.otherwise = answers, otherwise
        self.asked: list[Plan] = []
        self.quirks: list[Quirks] = []
        self.stopped = False

    def ask(self, target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        self.asked.append(plan)
        self.quirks.append(target.quirks)
        given = {address: self.answers.get(address, self.otherwise) for address in (*plan.gets, *plan.walks)}
        asyncio.get_running_loop().call_soon(done, given)

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


MODBUS, SNMP, HOST = parse("modbus://192.0.2.7?unit=1"), parse("snmp://192.0.2.7"), parse("host://")


def catalog(*drivers: Driver) -> Catalog:
    return Catalog({"pump": KIND}, {driver.id: driver for driver in drivers})


def found_by(link: FakeLink, endpoint: Endpoint, *drivers: Driver) -> list[tuple[str, Sure]]:
    found = asyncio.run(identify(catalog(*drivers), link, endpoint, 1.0))
    return [(driver.id, sure) for driver, sure in found]


# One plan, one reading.


def test_all_that_is_worth_asking_is_asked_at_once() -> None:
    device = driver(
        "one", Identify(20, ("1.3.6.1.4.1.9",), requires=("1.5", "1.1")), protocol="snmp",
        items=(Item("flow", "number", ("1.1",)), Item("alarms", "rows", ("1.8",), walk="1.9")),
        identity=(Item("model", "text", ("1.4",)),),
        variants=(Variant("pump/one", texts={("1.6",): "x"}, between={"1.7": ((0, 1),)}),),
    )  # fmt: skip
    assert plan_of(device) == Plan((*SYSTEM, "1.5", "1.1", "1.6", "1.4", "1.8", "1.7"), ("1.9",))


def test_the_system_group_is_asked_over_snmp_alone() -> None:
    assert plan_of(driver("one", has("h9", 1))) == Plan(("h9", "h1"))


def test_what_is_read_is_read_as_the_card_gives_it() -> None:
    tenths = Variant("pump/one", ("1.3.6.1.4.1.9",), scales={"flow": 0.1})
    item = Item("flow", "number", ("1.1",), driver="pump/one")
    device = driver(
        "one", items=(item,), protocol="snmp", identity=(Item("model", "text", ("1.4",)),), variants=(tenths,)
    )
    found = read(device, {SYS_OBJECT_ID: "1.3.6.1.4.1.9.2", SYS_DESCR: b"Acme", "1.1": 45, "1.4": b"P1"}, NOW)
    assert found.readings == {"flow": Reading(4.5, NOW)}
    assert found.identity == {"model": "P1", "sysObjectID": "1.3.6.1.4.1.9.2", "sysDescr": "Acme"}
    assert found.driver.id == "pump/one"
    assert found.sure is None


def good(**values: float | bool | frozenset[str]) -> dict[str, Reading]:
    return {id: Reading(value, NOW) for id, value in values.items()}


WHOLE = driver("one", items=(FLOW, Item("runs", "flag", ("c1",)), Item("alarms", "code", ("h2",))))


@pytest.mark.parametrize(
    ("readings", "alarms"),
    [
        pytest.param(good(flow=5, runs=True, alarms=frozenset()), [], id="all is well"),
        pytest.param(good(flow=1.5, runs=True), ["pump.dry"], id="one level"),
        pytest.param(good(flow=0.5, runs=True), ["pump.dry"], id="two levels are one alarm"),
        pytest.param(good(flow=2), [], id="at its limit"),
        pytest.param(good(runs=False), ["pump.stopped"], id="a flag"),
        pytest.param({"runs": Reading.bad("timeout", NOW)}, [], id="what is unknown raises nothing"),
        pytest.param(good(alarms=frozenset({"leak"})), ["pump.leak"], id="a member with a type of its own"),
        pytest.param(good(alarms=frozenset({"testing"})), [], id="a condition"),
        pytest.param(good(alarms=frozenset({"unknown-7", "unknown-3", "leak.warning"})), ["pump.leak", "pump.vendor.unknown-3", "pump.vendor.unknown-7"], id="members of the maker"),
        pytest.param({"alarms": Reading(frozenset({"unknown-7"}), NOW, Quality.UNCERTAIN, "partial")}, ["pump.vendor.unknown-7"], id="members of a part"),
        pytest.param({"alarms": Reading.bad("timeout", NOW)}, [], id="no set"),
        pytest.param({}, [], id="nothing"),
    ],
)  # fmt: skip
def test_the_alarms_are_those_that_the_readings_raise(readings: Mapping[str, Reading], alarms: list[str]) -> None:
    assert Found(WHOLE, {}, readings).alarms == alarms


def test_the_limits_of_the_site_count() -> None:
    types = {"dry": alarm("dry", ("flow < limit", 10.0))}
    assert Found(WHOLE, {}, good(flow=5, runs=False), types).alarms == ["pump.dry"]
    assert raised([Rule("p2", TEXT, types["dry"], qualifier="north")], good(flow=5)) == ["p2.dry.north"]
    assert raised([], good(flow=5)) == []


@pytest.mark.parametrize(
    ("id", "reading", "fields"),
    [
        ("flow", Reading(4.5, NOW), {"value": 4.5, "unit": "L", "quality": "good"}),
        ("flow", Reading.bad("timeout", NOW), {"value": None, "unit": "L", "quality": "bad", "reason": "timeout"}),
        ("alarms", Reading(frozenset({"b", "a"}), NOW, Quality.UNCERTAIN, "partial"), {"value": ["a", "b"], "quality": "uncertain", "reason": "partial"}),
        ("elsewhere", Reading("x", NOW), {"value": "x", "quality": "good"}),
    ],
)  # fmt: skip
def test_a_reading_is_spelled_with_its_unit_and_what_it_is_worth(
    id: str, reading: Reading, fields: dict[str, object]
) -> None:
    assert spelled(WHOLE, id, reading) == fields


@pytest.mark.parametrize(("sure", "word"), [(None, "given"), *((sure, sure.value) for sure in Sure)])
def test_as_json_it_says_how_sure_it_is_and_what_else_fits(sure: Sure | None, word: str) -> None:
    found = Found(WHOLE, {"model": None}, good(runs=False, flow=5), sure=sure, others=("pump/two", "pump/three"))
    assert found.as_json() == {
        "driver": "pump/one", "kind": "pump", "confidence": word, "others": ["pump/two", "pump/three"],
        "identity": {"model": None}, "alarms": ["pump.stopped"],
        "readings": {"flow": {"value": 5, "unit": "L", "quality": "good"}, "runs": {"value": False, "quality": "good"}},
    }  # fmt: skip


# Whom it finds, and whom it asks for that.


def test_each_family_is_asked_in_its_own_way_the_likeliest_first_and_nothing_twice() -> None:
    slow = Quirks(registers=2)
    drivers = [
        driver("low", has("h7", 1, rank=3)),
        driver("high", has("h9", 1, rank=30), quirks=slow),
        driver("middle", Identify(1, requires=("h8",)), has("h9", 2, rank=20)),
        driver("same", has("h7", 2, rank=2)),
        driver("nothing"),
    ]
    link = FakeLink({"h7": 1, "h9": 5})
    assert found_by(link, MODBUS, *drivers) == [("pump/low", Sure.GUESS)]
    assert [plan.gets for plan in link.asked] == [("h9",), ("h8",), ("h7",)]
    assert link.quirks == [slow, Quirks(), Quirks()]


FIVE = [driver(f"p{rank}", has(f"h{rank}", 1, rank)) for rank in (15, 16, 17, 18, 19)]


@pytest.mark.parametrize(
    ("answers", "told", "asked"),
    [
        pytest.param({}, NoAnswer, 2, id="nothing stands there"),
        pytest.param({"h17": 1}, NoAnswer, 2, id="whoever would have answered the third question"),
        pytest.param({"h18": Missing.ABSENT}, NoDriver, 5, id="a refusal of the second is a word"),
        pytest.param({"h19": 7}, NoDriver, 5, id="once it spoke, silence is an answer"),
        pytest.param({"h18": 2, "h15": Missing.ABSENT}, NoDriver, 5, id="though two more got none"),
    ],
)
def test_two_families_without_a_word_end_it(answers: Answers, told: type[Exception], asked: int) -> None:
    link = FakeLink(answers, otherwise=Missing.TIMEOUT)
    with pytest.raises(told):
        found_by(link, MODBUS, *FIVE)
    assert [plan.gets[0] for plan in link.asked] == ["h19", "h18", "h17", "h16", "h15"][:asked]


def test_who_answers_one_family_alone_is_found_all_the_same() -> None:
    assert found_by(FakeLink({"h18": 1}, otherwise=Missing.TIMEOUT), MODBUS, *FIVE) == [("pump/p18", Sure.LIKELY)]


def test_over_snmp_the_system_group_goes_first_and_all_others_together() -> None:
    drivers = [
        driver("standard", Identify(10, requires=("1.5",)), protocol="snmp"),
        driver("vendor", Identify(20, ("1.3.6.1.4.1.9",), requires=("1.6", "1.5")), protocol="snmp"),
        driver("bus", has("h9", 1)),
    ]
    link = FakeLink({SYS_OBJECT_ID: "1.3.6.1.4.1.9.1", "1.5": 1})
    assert found_by(link, SNMP, *drivers) == [("pump/vendor", Sure.CERTAIN), ("pump/standard", Sure.LIKELY)]
    assert link.asked == [Plan(SYSTEM), Plan(("1.5", "1.6"))]


def test_who_does_not_even_say_who_it_is_is_asked_nothing_more() -> None:
    link = FakeLink({}, otherwise=Missing.DENIED)
    with pytest.raises(NoAnswer, match="denied"):
        found_by(link, SNMP, driver("standard", Identify(10, requires=("1.5",)), protocol="snmp"))
    assert link.asked == [Plan(SYSTEM)]


def test_what_it_showed_is_told_where_no_driver_fits() -> None:
    device = driver("vendor", Identify(20, ("1.3.6.1.4.1.9",), requires=("1.6",)), protocol="snmp")
    with pytest.raises(NoDriver, match=r"= b'Cisco', 1\.6 = 3$") as caught:
        found_by(FakeLink({SYS_DESCR: b"Cisco", "1.6": 3}), SNMP, device)
    assert "absent" not in str(caught.value)
    with pytest.raises(NoDriver, match=r"^nothing that a driver knows$"):
        found_by(FakeLink({}), SNMP, device)
    with pytest.raises(NoDriver) as caught:
        found_by(FakeLink({SYS_DESCR: b"x" * 5000}), SNMP, device)
    assert len(str(caught.value)) == 500


def test_this_host_is_what_it_is() -> None:
    link = FakeLink({})
    host = driver("host", protocol="host")
    assert found_by(link, HOST, host, driver("bus", has("h9", 1))) == [("pump/host", Sure.CERTAIN)]
    assert link.asked == []


# The whole of it.

Open = Callable[[Mapping[str, Raw]], FakeLink]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
    def make(answers: Mapping[str, Raw], otherwise: Missing = Missing.ABSENT) -> FakeLink:
        link = FakeLink(answers, otherwise)
        monkeypatch.setattr(module, "open_link", lambda endpoint: link)
        return link

    return make


ONE, TWO, SHAPE = (
    driver("one", has("h9", 1, 30)),
    driver("two", has("h8", 1, 20)),
    driver("shape", Identify(3, requires=("h7",))),
)


def ask(named: Driver | None = None, types: Mapping[str, AlarmType] | None = None) -> Found:
    return asyncio.run(probe(catalog(ONE, TWO, SHAPE), MODBUS, named, 1.0, NOW, types))


def test_the_best_is_read_and_the_others_are_named(opened: Open) -> None:
    link = opened({"h9": 1, "h8": 1, "h7": 0, "h1": 4})
    found = ask(types={})
    assert (found.driver.id, found.sure, found.others) == ("pump/one", Sure.LIKELY, ("pump/two",))
    assert found.readings == good(flow=4)
    assert found.types == {}
    assert link.asked == [Plan(("h9",)), Plan(("h8",)), plan_of(ONE)]  # who has said what it is is asked for no shapes
    assert link.stopped


def test_who_does_not_say_what_it_is_is_known_by_its_shape(opened: Open) -> None:
    link = opened({"h9": 2, "h7": 0, "h1": 4})
    found = ask()
    assert (found.driver.id, found.sure, found.others) == ("pump/shape", Sure.GUESS, ())
    assert link.asked == [Plan(("h9",)), Plan(("h8",)), Plan(("h7",)), plan_of(SHAPE)]


@pytest.mark.parametrize(
    ("named", "answers", "sure"),
    [
        pytest.param(ONE, {"h9": 1}, None, id="it is that"),
        pytest.param(ONE, {"h9": 2}, Sure.MISMATCH, id="it says that it is something else"),
        pytest.param(ONE, {}, Sure.MISMATCH, id="it has nothing of the sort"),
        pytest.param(ONE, {"h9": Missing.BUSY}, None, id="it does not tell"),
        pytest.param(SHAPE, {}, None, id="a family that only has a shape"),
        pytest.param(driver("bare"), {}, None, id="a family that nothing tells"),
    ],
)
def test_a_driver_that_a_person_named_is_taken_and_doubted(
    opened: Open, named: Driver, answers: dict[str, Raw], sure: Sure | None
) -> None:
    link = opened({"h1": 4, **answers})
    found = ask(named)
    assert (found.driver.id, found.sure, found.others) == (named.id, sure, ())
    assert found.readings == good(flow=4)
    assert link.asked == [plan_of(named)]


def test_a_device_that_says_no_more_after_it_was_found_is_no_answer(opened: Open) -> None:
    link = opened({"h9": 1})
    answered = link.ask

    def fall_silent(target: Target, plan: Plan, done: Callable[[Answers], None]) -> None:
        if plan == plan_of(ONE):
            link.answers, link.otherwise = {}, Missing.LINK_DOWN
        answered(target, plan, done)

    link.ask = fall_silent  # type: ignore[method-assign]
    with pytest.raises(NoAnswer, match="link-down"):
        ask()
    assert link.stopped


@pytest.mark.parametrize("answers", [{}, {"h9": 1, "h1": 4}], ids=["nothing is there", "it was read"])
def test_the_link_is_closed_before_it_is_told(opened: Open, answers: dict[str, Raw]) -> None:
    link = opened(answers)
    link.otherwise = Missing.TIMEOUT

    async def told() -> bool:
        with contextlib.suppress(NoAnswer):
            await probe(catalog(ONE, TWO, SHAPE), MODBUS, None, 1.0, NOW)
        return link.stopped

    assert asyncio.run(told())
