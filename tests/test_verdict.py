"""If the mains failed now: what speaks against it, and that not knowing is never ready."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import verdict
from edgeagent.catalog import Text
from edgeagent.readings import PARTIAL, Quality, Reading, Value
from edgeagent.verdict import ATS, GENERATOR, UPS, Part, Parts, Readiness, Reason, Standing, judge

BASE = 1_750_000_000.0
DRIVERS = Path(__file__).parent.parent / "drivers"
WELL: Mapping[str, Mapping[str, Value]] = {
    UPS: {
        "reachable": True, "source": "normal", "battery.status": "normal", "battery.charge": 100, "output.load": 40,
        "alarms": frozenset(), "input.voltage": 230, "battery.time": 0,
    },
    GENERATOR: {
        "reachable": True, "mode": "auto", "state": "stopped", "fuel": 85, "starter.voltage": 26.6,
        "alarms": frozenset(), "running": False,
    },
    ATS: {"reachable": True, "mode": "auto", "position": "mains", "redundant": True, "alarms": frozenset()},
}  # fmt: skip
NAME = Text("It", "它")


def look(
    kind: str, values: Mapping[str, Value] | None = None, *, before: Part | None = None,
    runtime: float | None = 1800.0, proved: float | None = None, without: tuple[str, ...] = (),
    bad: Mapping[str, str] | None = None, **words: Value,
) -> Part:  # fmt: skip
    """Judge a device that is well but for some points, written with `_` for the dots."""
    told = {**WELL[kind], **{word.replace("_", "."): value for word, value in {**(values or {}), **words}.items()}}
    readings = {point: Reading(value, BASE) for point, value in told.items() if point not in without}
    readings |= {point: Reading.bad(reason, BASE) for point, reason in (bad or {}).items()}
    return judge(kind, kind, NAME, readings, BASE, before=before, runtime=runtime, proved=proved)


def ids(part: Part) -> list[str]:
    return [reason.id for reason in part.reasons]


@pytest.mark.parametrize("kind", [UPS, GENERATOR, ATS])
def test_what_is_well_and_known_is_ready(kind: str) -> None:
    assert (look(kind).level, look(kind).reasons) == (Readiness.READY, ())


NO, RISK, DARK = Readiness.NOT_READY, Readiness.AT_RISK, Readiness.UNKNOWN
TABLE: list[tuple[str, dict[str, Value], Readiness, str]] = [
    (UPS, {"source": "battery"}, NO, "on-battery"),
    (UPS, {"source": "bypass"}, NO, "bypass"),
    (UPS, {"source": "off"}, NO, "off"),
    (UPS, {"battery_status": "none"}, NO, "no-battery"),
    (UPS, {"battery_status": "fault"}, NO, "battery-fault"),
    (UPS, {"battery_status": "low"}, NO, "battery-low"),
    (UPS, {"battery_charge": 20}, NO, "charge"),
    (UPS, {"battery_charge": 70}, RISK, "charging"),
    (UPS, {"output_load": 85}, RISK, "load"),
    (UPS, {"output_load": 110}, NO, "overload"),
    (UPS, {"alarms": frozenset({"battery-replace"})}, RISK, "replace"),
    (UPS, {"alarms": frozenset({"test-failed"})}, RISK, "test-failed"),
    (UPS, {"alarms": frozenset({"charger-fault"})}, RISK, "charger"),
    (UPS, {"alarms": frozenset({"ups-comms-lost"})}, DARK, "comms"),
    (GENERATOR, {"mode": "manual"}, NO, "not-in-auto"),
    (GENERATOR, {"mode": "off"}, NO, "not-in-auto"),
    (GENERATOR, {"state": "fault"}, NO, "fault"),
    (GENERATOR, {"fuel": 5}, NO, "fuel"),
    (GENERATOR, {"fuel": 20}, RISK, "fuel-low"),
    (GENERATOR, {"starter_voltage": 23.0}, RISK, "starter-low"),
    (GENERATOR, {"starter_voltage": 21.0}, NO, "starter"),
    (GENERATOR, {"starter_voltage": 11.5}, RISK, "starter-low"),
    (GENERATOR, {"starter_voltage": 9.0}, NO, "starter"),
    (GENERATOR, {"alarms": frozenset({"emergency-stop"})}, NO, "emergency-stop"),
    (GENERATOR, {"alarms": frozenset({"fail-to-start"})}, NO, "fail-to-start"),
    (GENERATOR, {"alarms": frozenset({"common-shutdown"})}, NO, "fault"),
    (GENERATOR, {"alarms": frozenset({"oil-pressure-low.shutdown"})}, NO, "blocked"),
    (GENERATOR, {"alarms": frozenset({"battery-charger-fail"})}, RISK, "starter-low"),
    (ATS, {"mode": "manual"}, NO, "not-in-auto"),
    (ATS, {"position": "off"}, NO, "off"),
    (ATS, {"redundant": False}, RISK, "redundancy"),
    (ATS, {"alarms": frozenset({"switch-fault"})}, NO, "fault"),
]


@pytest.mark.parametrize(
    ("kind", "values", "level", "reason"), TABLE, ids=[f"{kind} {values}" for kind, values, *_ in TABLE]
)
def test_what_speaks_against_it_is_named(kind: str, values: dict[str, Value], level: Readiness, reason: str) -> None:
    part = look(kind, values)
    assert part.level is level
    assert reason in ids(part)
    assert all("{" not in text.text.en + text.text.zh for text in part.reasons)


@pytest.mark.parametrize(
    ("runtime", "level"),
    [(900, Readiness.READY), (600, Readiness.READY), (599, RISK), (420, RISK), (419, NO), (0, NO), (None, DARK)],
)
def test_the_runtime_is_held_against_the_window(runtime: float | None, level: Readiness) -> None:
    assert look(UPS, runtime=runtime).level is level


def test_a_generator_in_test_mode_starts_all_the_same() -> None:
    assert look(GENERATOR, mode="test").level is Readiness.READY


@pytest.mark.parametrize("kind", [UPS, GENERATOR, ATS])
def test_what_cannot_be_reached_or_was_never_read_is_unknown(kind: str) -> None:
    assert (look(kind, reachable=False).level, ids(look(kind, reachable=False))) == (DARK, ["unreachable"])
    assert judge(kind, kind, NAME, {}, BASE, runtime=1800).level is DARK


@pytest.mark.parametrize(
    ("kind", "point", "reason"),
    [
        (kind, point, reason)
        for kind, points in WELL.items()
        for point in points
        if point not in ("reachable", "input.voltage", "battery.time", "running", "redundant")
        for reason in ("sentinel", "timeout", "malformed")
    ],
)
def test_a_point_that_counts_and_cannot_be_read_makes_it_unknown(kind: str, point: str, reason: str) -> None:
    assert look(kind, bad={point: reason}).level is DARK


def test_what_is_not_fitted_says_nothing() -> None:
    assert look(GENERATOR, bad={"fuel": "absent", "starter.voltage": "not-fitted"}).level is Readiness.READY
    assert look(GENERATOR, without=("fuel", "starter.voltage")).level is Readiness.READY


@pytest.mark.parametrize("kind", [GENERATOR, ATS])
def test_nobody_guesses_that_it_is_in_auto(kind: str) -> None:
    assert (look(kind, without=("mode",)).level, ids(look(kind, without=("mode",)))) == (DARK, ["mode"])


def test_a_rack_switch_has_no_auto_to_be_in() -> None:
    assert look(ATS, without=("mode", "position"), feed="a").level is Readiness.READY


def test_half_a_list_of_alarms_is_not_an_empty_one() -> None:
    readings = {point: Reading(value, BASE) for point, value in WELL[UPS].items()}
    readings["alarms"] = Reading(frozenset(), BASE, Quality.UNCERTAIN, PARTIAL)
    assert judge("ups", UPS, NAME, readings, BASE, runtime=1800).level is DARK


def test_one_missed_poll_leaves_it_as_it_was() -> None:
    before = look(UPS, output_load=85)
    silent = dict.fromkeys((point for point in WELL[UPS] if point != "reachable"), "timeout")
    assert look(UPS, before=before, bad=silent) == before
    assert look(UPS, before=before, bad=silent, reachable=False).level is DARK


def test_a_generator_that_has_not_run_for_a_month_is_at_risk() -> None:
    assert look(GENERATOR, proved=BASE - 86400).level is Readiness.READY
    part = look(GENERATOR, proved=BASE - 40 * 86400)
    assert (part.level, ids(part)) == (RISK, ["idle"])
    assert "40" in part.reasons[0].text.zh


def test_a_battery_that_was_not_discharged_for_a_year_is_at_risk() -> None:
    assert ids(look(UPS, proved=BASE - 500 * 86400)) == ["unproved"]


def test_the_worst_comes_first_and_decides() -> None:
    well, risk, dark = (look(UPS), look(UPS, output_load=85), look(UPS, runtime=None))
    parts = [replace(part, resource=f"ups-{index}") for index, part in enumerate((well, risk, dark))]
    standing = Parts([*parts, look(GENERATOR, mode="manual")]).standing()
    assert standing is not None
    assert standing.level is NO
    assert [reason.id for reason in standing.reasons] == ["not-in-auto", "runtime", "load"]
    assert standing.counts == {NO: 1, DARK: 1, RISK: 1, Readiness.READY: 1}


def test_a_site_without_a_generator_is_not_ready_and_one_without_either_has_no_verdict() -> None:
    standing = Parts([look(UPS)]).standing()
    assert standing is not None
    assert standing.level is DARK
    assert [reason.id for reason in standing.reasons] == ["no-generator"]
    assert Parts([look(ATS)]).standing() is None
    assert Parts().standing() is None


def test_a_drill_marks_its_part() -> None:
    readings = {point: Reading(value, BASE, origin="drill-7") for point, value in WELL[UPS].items()}
    assert judge("ups", UPS, NAME, readings, BASE, runtime=1800).origin == "drill-7"


def spoken() -> Iterator[tuple[str, str, str]]:
    for kind, checks in verdict._CHECKS.items():
        for check in checks:
            yield from ((kind, point, word) for point, word in check.when.words)


def test_every_word_of_the_table_is_one_of_its_kind() -> None:
    for kind, point, word in spoken():
        file = tomllib.loads((DRIVERS / kind / "kind.toml").read_text(encoding="utf-8"))
        assert point in file["points"], f"{kind} has no {point}"
        if point == "alarms":
            known = {*file["alarms"], *file.get("conditions", [])}
            assert word.removesuffix(".shutdown") in known or word == "on-battery", f"{kind}: {word}"
        else:
            assert word in file["points"][point]["values"], f"{kind}: {point} is never {word}"


numbers = st.floats(0, 100)
members = st.frozensets(st.sampled_from(["battery-replace", "battery-fault", "charger-fault", "ups-comms-lost"]))


@given(numbers, numbers, st.floats(0, 2000), members, numbers, st.floats(0, 900), members)
def test_worse_readings_never_give_a_better_verdict(
    charge: float,
    load: float,
    runtime: float,
    alarms: frozenset[str],
    less: float,
    shorter: float,
    more: frozenset[str],
) -> None:
    before = look(UPS, runtime=runtime, battery_charge=charge, output_load=load, alarms=alarms)
    worse = look(
        UPS, runtime=max(0.0, runtime - shorter), battery_charge=max(0.0, charge - less), output_load=load + less,
        alarms=alarms | more,
    )  # fmt: skip
    assert worse.level.rank >= before.level.rank


@given(st.sampled_from([UPS, GENERATOR, ATS]), st.data())
def test_losing_sight_never_makes_it_ready(kind: str, data: st.DataObject) -> None:
    points = sorted(set(WELL[kind]) - {"input.voltage", "battery.time", "running", "redundant", "reachable"})
    lost = data.draw(st.lists(st.sampled_from(points), min_size=1, unique=True))
    assert look(kind, bad=dict.fromkeys(lost, "error")).level is not Readiness.READY


def slowly(parts: Mapping[str, Part]) -> Standing | None:
    """Add up all parts at once, the ready ones too."""
    ranked = sorted(
        parts.values(),
        key=lambda part: (-part.level.rank, 1e9 if part.runtime is None else part.runtime, part.resource),
    )
    if not any(part.kind in (UPS, GENERATOR) for part in ranked):
        return None
    reasons = [reason for part in ranked for reason in part.reasons]
    if all(part.kind != GENERATOR for part in ranked):
        reasons.append(Reason("", "no-generator", DARK, verdict._NO_GENERATOR))
    reasons.sort(key=lambda reason: -reason.level.rank)
    runtimes = [part.runtime for part in ranked if part.runtime is not None]
    return Standing(
        reasons[0].level if reasons else Readiness.READY, tuple(reasons), Counter(part.level for part in ranked),
        min(runtimes, default=None), next((part.origin for part in ranked if part.origin), None),
    )  # fmt: skip


@st.composite
def judged(draw: st.DrawFn) -> Part:
    """Make a device's share; its kind is that of its id, or another one after the site was changed."""
    id = draw(st.sampled_from(["ups-1", "ups-2", "ups-3", "generator-1", "ats-1"]))
    kind = draw(st.sampled_from([id.partition("-")[0]] * 3 + [UPS]))
    levels = draw(st.lists(st.sampled_from([NO, RISK, DARK]), max_size=2))
    reasons = tuple(sorted((Reason(id, level.value, level, NAME) for level in levels), key=lambda it: -it.level.rank))
    level = reasons[0].level if reasons else Readiness.READY
    runtime, origin = draw(st.none() | st.floats(0, 5000)), draw(st.sampled_from([None, "drill-7"]))
    return Part(id, kind, level, reasons, runtime, None, origin)


@given(st.lists(judged(), max_size=20), st.frozensets(st.sampled_from(["ups-1", "generator-1", "ats-1"])))
def test_adding_up_what_changed_gives_what_adding_up_everything_gives(turns: list[Part], gone: frozenset[str]) -> None:
    parts, known = Parts(), dict[str, Part]()
    for part in turns:
        parts.put(part)
        known[part.resource] = part
        assert parts.standing() == slowly(known)
    kinds = {id: id.partition("-")[0] for id in known if id not in gone}
    parts.keep(kinds)
    left = {id: part for id, part in known.items() if kinds.get(id) == part.kind}
    assert parts.standing() == slowly(left)
    assert {id: parts.get(id) for id in known} == {id: left.get(id) for id in known}
