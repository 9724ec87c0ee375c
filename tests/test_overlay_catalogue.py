"""Every driver of the catalogue: what a drill wants is read, what it does not name reads as without."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeagent.catalog import Driver, PointType
from edgeagent.decode import decode
from edgeagent.encode import EncodeError, encode, sayable
from edgeagent.phases import PHASES
from edgeagent.readings import Missing, Raw, Reading, Value, silence
from edgeagent.scenario import Do, Planned
from tests.play import DRILL, DRIVERS, Play, do, real, show

CATALOGUE = [pytest.param(driver, id=id) for id, driver in DRIVERS.items() if driver.items]


def other(driver: Driver, id: str, now: Reading | None) -> list[Value]:
    """Return values that a point could be made to read, unlike what it reads now."""
    point = driver.kind.point(id)
    assert point is not None
    own = [item for item in driver.items if item.code != "when" and item.point in (id, *(f"{id}.{p}" for p in PHASES))]
    if point.type is PointType.SET:
        found: list[Value] = [frozenset({member}) for item in own for member in sorted(sayable(item))[:3]]
    elif point.type is PointType.FLAG:
        found = [True, False]
    elif point.type is PointType.ENUM:
        found = [word for item in own for word in item.enum.values()]
    elif point.type is PointType.NUMBER:
        low, high = point.range or (0.0, 100.0)
        found = [low + (high - low) * share for share in (0.25, 0.5, 0.75)]
    else:
        found = ["another"]
    return [value for value in dict.fromkeys(found) if now is None or value != now.value]


def beside(driver: Driver, changed: set[str]) -> set[str]:
    """Return the points that nothing of this touches: they share no address, and no variant shows in one."""
    if any(address in changed for variant in driver.variants for address in variant.between):
        return set()
    touched = {
        item.point
        for item in driver.items
        if changed & {*item.addresses, item.walk} or any(a.startswith(f"{item.walk}.") for a in changed)
    }
    stems = {id.rpartition(".")[0] if id.rpartition(".")[2] in PHASES else id for id in touched}
    whole = {item.point for item in driver.items if item.code != "when" and driver.kind.points.get(item.point)}
    doubted = {id for id, point in driver.kind.points.items() if point.doubt is not None}
    derived = {item.point for item in driver.items if item.code == "when"}
    rows = {id for id in driver.points if id.rpartition(".")[0] in driver.kind.points}  # one may be a phantom now
    return whole - stems - touched - doubted - derived - rows


@pytest.mark.parametrize("driver", CATALOGUE)
def test_each_point_that_can_be_said_is_read_with_the_drills_id_and_the_others_as_without(driver: Driver) -> None:
    image = real(driver)
    before = decode(driver, image, 0.0, DRILL)
    said = 0
    for id in sorted(driver.points):
        for value in other(driver, id, before.get(id)):
            try:
                encode(driver, {id: value}, image)
            except EncodeError:
                continue
            play = Play(driver, show(0, 10, id, value))
            shown = play.answers(10)
            readings = decode(driver, shown, 10.0, DRILL)
            assert all(reading.origin == DRILL for reading in readings.values())
            changed = {address for address in shown.keys() | image.keys() if shown.get(address) != image.get(address)}
            for each in beside(driver, changed) & before.keys():
                assert readings[each].same(before[each]), (id, value, each)
            for root in driver.walks:
                assert shown[root] == sum(address.startswith(f"{root}.") for address in shown)
            failed = play.why()
            dry = play.overlay.dry("d", driver, image)
            read = readings[id].value
            if failed or dry:
                assert dry, (id, value, failed)
                continue
            said += 1
            assert read is not None
            if isinstance(value, (bool, str)):
                assert read == value
            elif isinstance(value, frozenset):
                assert isinstance(read, frozenset)
                assert value <= read
            else:
                scales = [abs(item.scale) for item in driver.items if item.point in (id, f"{id}.l1")]
                assert isinstance(read, (int, float))
                assert read == pytest.approx(value, abs=3 * max(scales), rel=1e-4)
    assert said or not encodable(driver)


def encodable(driver: Driver) -> bool:
    return any(item.code not in ("when", "text") for item in driver.items)


@pytest.mark.parametrize("driver", CATALOGUE)
def test_each_point_that_can_be_missing_has_no_value_and_the_others_are_as_without(driver: Driver) -> None:
    image = real(driver)
    before = decode(driver, image, 0.0, DRILL)
    for id in sorted(driver.points):
        play = Play(driver, show(0, 10, id, None, Do.MISSING))
        shown = play.answers(10)
        assert shown.keys() - image.keys() == set()
        changed = {address for address in image if shown.get(address) != image[address]}
        readings = decode(driver, shown, 10.0, DRILL)
        if play.overlay.dry("d", driver, image):
            continue
        assert readings[id].value is None
        assert readings[id].origin == DRILL
        for each in beside(driver, changed) & before.keys():
            assert readings[each].same(before[each]), (id, each)


@pytest.mark.parametrize("driver", CATALOGUE)
def test_each_device_can_be_silent_and_gives_back_its_very_answers(driver: Driver) -> None:
    image = real(driver)
    play = Play(driver, do(0, 10, Do.SILENT), do(1, 20, Do.ANSWERS), do(2, 30, Do.RELEASE))
    assert play.answers(9.9, image) is image
    silent = play.answers(10, image)
    assert silence(silent) is Missing.TIMEOUT
    assert silent.keys() == {*driver.gets, *driver.walks}
    assert play.answers(20, image) is image
    assert play.answers(30, image) is image


# Whatever comes.

UPSES = ("ups/rfc1628", "ups/apc-powernet", "ups/megatec", "ups/ppc-3phase")
OTHERS = ("generator/dse-gencomm", "generator/comap-intelilite", "environment/xy-md02", "workstation/host")
FEW = [DRIVERS[id] for id in (*UPSES, *OTHERS, "environment/moxa-iologik-e1212")]
RAWS = st.one_of(
    st.integers(-(2**63), 2**64), st.floats(), st.binary(max_size=20), st.sampled_from(["1.3.6.1.4.1", ""]),
    st.sampled_from(Missing),
)  # fmt: skip


@st.composite
def stories(draw: st.DrawFn) -> tuple[Driver, list[Planned], list[tuple[float, dict[str, Raw]]]]:
    driver = draw(st.sampled_from(FEW))
    points = sorted(driver.points)
    members = sorted({member for item in driver.items if item.point == "alarms" for member in sayable(item)}) or ["x"]
    values = st.one_of(
        st.integers(-10, 500), st.floats(allow_nan=False), st.booleans(), st.sampled_from(["battery", "running"]),
        st.sampled_from(members), st.frozensets(st.sampled_from(members), max_size=3),
    )  # fmt: skip
    injects = [
        Planned(
            number, float(draw(st.integers(1, 30))), "d", draw(st.sampled_from(Do)), draw(st.sampled_from(points)),
            draw(values), draw(st.none() | st.floats(-50, 500)), float(draw(st.integers(0, 20))),
        )
        for number in range(draw(st.integers(1, 8)))
    ]  # fmt: skip
    polls = []
    for moment in sorted(draw(st.lists(st.floats(0, 40), min_size=1, max_size=6))):
        image = real(driver)
        for address in draw(st.sets(st.sampled_from(sorted(image)), max_size=6)):
            image[address] = draw(RAWS)
        for address in (
            draw(st.sets(st.sampled_from(sorted(image)), max_size=len(image))) if draw(st.booleans()) else ()
        ):
            del image[address]
        polls.append((moment, image))
    return driver, injects, polls


@settings(max_examples=300)
@given(story=stories())
def test_only_what_was_asked_is_replaced_whatever_comes(
    story: tuple[Driver, list[Planned], list[tuple[float, dict[str, Raw]]]],
) -> None:
    driver, injects, polls = story
    play = Play(driver, *injects)
    first = min(inject.at for inject in injects)
    for moment, image in polls:
        before = dict(image)
        shown = play.answers(moment, image)
        assert image == before
        if moment < first or silence(image) is not None:
            assert shown is image
        roots = tuple(f"{root}." for root in driver.walks if root in image)
        assert all(address in image or (roots and address.startswith(roots)) for address in shown)
        rows = tuple(f"{root}." for root in driver.walks)
        assert all(address in shown or (rows and address.startswith(rows)) for address in image)
        decode(driver, shown, moment, DRILL)
        told = [op.number for op, _ in play.overlay.failures()]
        assert len(told) == len(set(told))
    play.overlay.dry("d", driver, polls[0][1])
