"""The whole catalogue: a new kind or driver file is covered by lying in its folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from edgeagent.alarm import LONGEST, Measured, Rule, texts
from edgeagent.catalog import Driver, Kind, PointType, Severity, Text
from edgeagent.decode import identity
from edgeagent.driverfiles import load
from edgeagent.encode import EncodeError, encode
from edgeagent.fit import best
from edgeagent.phases import PHASES
from edgeagent.probe import Found
from edgeagent.readings import UNVERIFIED, Answers, Missing, Quality, Value
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG = load([drivers()])
FILES = sorted(
    str(file.relative_to(drivers()).with_suffix("")) for file in drivers().glob("*/*.toml") if file.name != "kind.toml"
)
PLACES = {
    "snmp": re.compile(r"1\.3\.6\.1(\.\d+)+"),
    "modbus": re.compile(r"[hicd]\d{1,5}"),
    "serial": re.compile(r"[A-Za-z0-9]+:[A-Za-z0-9.-]+"),
    "host": re.compile(r"[a-z]+(\.[a-z]+){0,2}"),
    "service": re.compile(r"[a-z]+"),
    "ami": re.compile(r"[a-z]+"),
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
NAME = Text("Diesel generator of the second building", "二号楼地下一层柴油发电机组")
"""As long as sites name their devices."""


def wired(driver: Driver) -> Driver:
    """Give every input of a driver a meaning that its kind has, as a site would."""
    flags = [id for id, point in driver.kind.points.items() if point.type is PointType.FLAG and point.many]
    inputs = [(name, number) for name, channel in driver.channels.items() for number in range(1, channel.count + 1)]
    meanings = (f"{id}.{where}" for where in ("one", "two", "three", "four") for id in flags)
    return driver.wired({place: (meaning, False) for place, meaning in zip(inputs, meanings, strict=False)})


def sayable(driver: Driver, id: str, sample: Value | None, image: Answers) -> bool:
    """Tell whether the family has a raw answer for what a healthy device shows: 0 r/min may be its word for unknown."""
    if sample is None or id not in {item.point for item in driver.items if item.code != "when"}:
        return True
    try:
        encode(driver, {id: sample}, image)
    except EncodeError as error:
        return "would be the raw value" not in str(error)
    return True


def rank(driver: Driver) -> int:
    return max(way.rank for way in driver.identify)


def words(thing: object) -> Iterator[Text]:
    """Find every text in a kind or a driver, its kind aside."""
    if isinstance(thing, Text):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from words(value)
    elif is_dataclass(thing):
        for field in fields(thing):
            if field.name != "kind":
                yield from words(getattr(thing, field.name))


def bilingual(text: Text) -> bool:
    placeholders = [sorted(re.findall(r"\{(\w+)\}", language)) for language in (text.en, text.zh)]
    return (
        bool(text.en)
        and not CHINESE.search(text.en)
        and bool(CHINESE.search(text.zh))
        and placeholders[0] == placeholders[1]
    )


def test_every_file_is_in_the_catalogue() -> None:
    assert sorted(CATALOG.drivers) == FILES
    assert sorted(CATALOG.kinds) == sorted(folder.name for folder in drivers().iterdir() if folder.is_dir())


@pytest.mark.parametrize("id", FILES)
def test_a_driver_reads_its_simulated_device_and_no_other_driver_would(id: str) -> None:
    plain = CATALOG.drivers[id]
    driver = wired(plain)
    assert driver.points, "it reads nothing"
    assert plain.source
    assert all(map(bilingual, words(plain)))
    own = [address for item in plain.identity for address in item.addresses]
    for address in (*driver.gets, *driver.walks, *own, *driver.proofs):
        assert PLACES[driver.protocol].fullmatch(address), address
    assert all(driver.kind.point(id) for id in driver.points)

    # It shows what a healthy device shows, raises nothing, and says who it is.
    device = SimulatedDevice(driver)
    readings = device.readings()
    assert readings.keys() == driver.points
    scales = {item.point: item.scale for item in reversed(driver.items)}
    for point_id, reading in readings.items():
        point = driver.kind.point(point_id)
        assert point is not None
        if not sayable(driver, point_id, point.sample, device.answers):
            continue
        assert reading.quality is Quality.GOOD or reading.reason == UNVERIFIED, (point_id, reading)
        if point.type is PointType.SET:
            assert reading.value == frozenset()
        elif isinstance(point.sample, (bool, str)):
            said = {word for item in driver.items if item.point == point_id for word in item.enum.values()}
            assert reading.value == point.sample or point.sample not in said, point_id
        else:
            assert isinstance(point.sample, (int, float)), f"{point_id} has no sample"
            assert isinstance(reading.value, (int, float))
            share = 3 if point.aggregate == "sum" and point_id.endswith(PHASES) else 1
            step = scales.get(point_id) or 3 * scales[f"{point_id}.l1"]
            assert reading.value == pytest.approx(point.sample / share, abs=step)
    assert Found(driver, {}, readings).alarms == []
    assert all(identity(driver, device.answers, 0.0).values())

    # Of all drivers it is the one that is found, unless nothing tells its devices apart.
    rivals = [other for other in CATALOG.drivers.values() if other.protocol == plain.protocol]
    asked = {address: Missing.ABSENT for other in rivals for address in other.proofs}
    fitting = best(rivals, {**asked, **device.answers})
    if plain.identify:
        assert fitting, "nothing recognises it"
        assert fitting[0][0].id == id
        assert len(fitting) == 1 or rank(fitting[0][0]) > rank(fitting[1][0]), "two fit alike"
    else:
        assert fitting == [] or plain.protocol == "host"


@pytest.mark.parametrize("id", sorted(CATALOG.kinds))
def test_a_kind_says_everything_in_two_languages_and_in_one_short_message(id: str) -> None:
    kind = CATALOG.kinds[id]
    for text in words(kind):
        assert bilingual(text), text
    assert {"unreachable", "profile-mismatch"} <= kind.alarms.keys()
    for alarm in kind.alarms.values():
        rule = Rule(
            "genset-2", NAME, alarm, qualifier="unknown-1.3.6.1.4.1.2254.2.5.99.1.2" if alarm.each else "north-wall"
        )
        for measured in (None, Measured("x", 1234567.8, "r/min", 1234567.8)):
            text, short, advice = texts(rule, measured)
            assert short == text, f"{alarm.id}: longer than {LONGEST} characters"
            assert not re.search("[{}]", text.en + text.zh + advice.en + advice.zh)
        for level in alarm.levels:
            assert level.when.points <= known(kind), alarm.id


def known(kind: Kind) -> set[str]:
    """Return every point id that a rule of the kind may name."""
    return set(kind.points) | {f"{id}.{phase}" for id, point in kind.points.items() if point.phases for phase in PHASES}


def test_severities_are_ranked() -> None:
    assert [severity.value for severity in sorted(Severity, key=lambda severity: severity.rank)] == [
        "indeterminate", "warning", "minor", "major", "critical",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("member", "owned"),
    [
        ("fuel-low", True),
        ("fuel-low.warning", True),
        ("speed-high.shutdown", True),
        ("unknown-7", False),
        ("unknown-1.3.6.1.4.1.7", False),
    ],
)
def test_a_kind_owns_its_alarms_and_conditions_whatever_their_grade(member: str, owned: bool) -> None:
    assert CATALOG.kinds["generator"].owns(member) is owned


@pytest.mark.parametrize(
    ("kind", "id", "found"),
    [
        ("ups", "input.voltage", "input.voltage"),
        ("ups", "input.voltage.l3", "input.voltage"),
        ("ups", "input.voltage.l4", None),
        ("ups", "battery.charge.l1", None),
        ("environment", "door.front", "door"),
        ("environment", "door", "door"),
        ("environment", "dor", None),
    ],
)
def test_a_point_is_found_its_phase_or_instance_aside(kind: str, id: str, found: str | None) -> None:
    point = CATALOG.kinds[kind].point(id)
    assert (point and point.id) == found
