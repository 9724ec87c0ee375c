"""Walks of real cards, changed into the states that no walk shows: exactly the right alarms come of it."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Final

import pytest

from edgeagent import probe
from edgeagent.fit import fits
from edgeagent.readings import Missing, Raw
from tests.test_captures import FAMILIES
from tests.truth import NAMES, RAISED, answers, needs_captures, read, walk
from tests.variations import FLAWED, WALKS, Flaw, driver_of, shown, table, told, vary
from tests.variedalarms import said
from tests.variedtrees import TREES, Change, State

pytestmark = [pytest.mark.disable_socket, needs_captures]

UNTOLD_ALONE: Final = {("poweralert_ups", "rfc1628", State.REPLACE)}
"""The standard rows of a Tripp Lite call every alarm a bad battery, so its own table is asked."""
RFC: Final = "1.3.6.1.2.1.33.1"
LIEBERT: Final = "1.3.6.1.4.1.476.1.42.3.9.20.1.20.1.2.100"
ODD: Final[dict[str, tuple[str, dict[str, Raw], list[str]]]] = {
    "an APC tests its battery and says that it is on battery": (
        "apc_smart1500",
        {"1.3.6.1.4.1.318.1.1.1.4.1.1.0": 3, "1.3.6.1.4.1.318.1.1.1.7.2.3.0": 4},
        [],
    ),
    "an APC calibrates its runtime": (
        "apc_smart1500",
        {"1.3.6.1.4.1.318.1.1.1.4.1.1.0": 3, "1.3.6.1.4.1.318.1.1.1.7.2.6.0": 3},
        [],
    ),
    "an APC is on battery by its flags alone, its source NULL": (
        "apc_smart1500",
        {"1.3.6.1.4.1.318.1.1.1.4.1.1.0": Missing.NULL, "1.3.6.1.4.1.318.1.1.1.11.1.1.0": b"01" + b"0" * 62},
        ["ups.on-battery"],
    ),
    "the mains fails while an APC tests its battery": (
        "apc_smart1500",
        {"1.3.6.1.4.1.318.1.1.1.4.1.1.0": 15, "1.3.6.1.4.1.318.1.1.1.3.3.1.0": 0},
        ["ups.on-battery"],
    ),
    "the flags of an APC without contact to its UPS are a word": (
        "apc_smart1500",
        {"1.3.6.1.4.1.318.1.1.1.11.1.1.0": b"UNKNOWN", "1.3.6.1.4.1.318.1.1.1.8.1.0": 2},
        ["ups.ups-comms-lost"],
    ),
    "a source that no MIB of CyberPower has": (
        "cyberpower",
        {"1.3.6.1.4.1.3808.1.1.1.4.1.1.0": 77},
        ["ups.environment"],
    ),
    "a Tripp Lite tests its battery and says that it is on battery": (
        "poweralert_ups",
        {"1.3.6.1.4.1.850.1.1.3.1.3.3.1.1.1.1": 5, "1.3.6.1.4.1.850.1.1.3.1.2.1.1.6.1": 5},
        [],
    ),
    "a test that a Tripp Lite failed": (
        "poweralert_ups",
        {"1.3.6.1.4.1.850.1.1.3.1.2.1.1.6.1": 7},
        ["ups.test-failed"],
    ),
    "a Socomec discharges with no alarm set": (
        "socomec-ups",
        {"1.3.6.1.4.1.4555.1.1.7.1.2.1.0": 5},
        ["ups.on-battery"],
    ),
    "a Socomec says on battery by its flag alone": (
        "socomec-ups",
        {"1.3.6.1.4.1.4555.1.1.7.1.6.3.15.0": 1},
        ["ups.on-battery"],
    ),
    "an Eaton with the MGE MIB tests by its standard tree": (
        "eaton-mgeups_5px",
        {"1.3.6.1.4.1.705.1.7.3.0": 1, f"{RFC}.4.1.0": 5, f"{RFC}.7.3.0": 5},
        [],
    ),
    "an Eaton rests in its economic mode": ("eatonups", {"1.3.6.1.4.1.534.1.4.5.0": 10}, []),
    "a NetAgent shows booster": ("netagent2", {"1.3.6.1.4.1.935.1.1.1.4.1.1.0": 4}, []),
    "a Liebert tests its battery, and only its texts tell": (
        "liebert_apm",
        {f"{RFC}.4.1.0": 5, f"{LIEBERT}.4168": b"Active Event", f"{LIEBERT}.4172": b"Active Event"},
        [],
    ),
    "a Liebert is on battery by its texts alone": (
        "liebert_apm",
        {
            **{f"{RFC}.3.3.1.3.{phase}": 0 for phase in (1, 2, 3)},
            f"{RFC}.4.1.0": Missing.NULL,
            f"{LIEBERT}.4168": b"Active Event",
        },
        ["ups.on-battery"],
    ),
    "a Liebert names the event in its text": (
        "liebert_apm",
        {f"{LIEBERT}.4310": b"Equipment Over Temperature"},
        ["ups.over-temperature"],
    ),
    "a row without an input that is out": (
        "orvaldi-ups",
        {f"{RFC}.6.2.1.2.7": f"{RFC}.6.3.2", f"{RFC}.4.1.0": 1},
        ["ups.on-battery"],
    ),
    "a count of alarms without a list": ("orvaldi-ups", {f"{RFC}.6.1.0": 2}, ["ups.unlisted"]),
    "a count that the source explains": ("orvaldi-ups", {f"{RFC}.6.1.0": 2, f"{RFC}.4.1.0": 4}, ["ups.on-bypass"]),
    "a count that is made up": ("orvaldi-ups", {f"{RFC}.6.1.0": 65535}, []),
    "rows of many zeros": ("orvaldi-ups", {f"{RFC}.6.2.1.2.1": "0.0.0.0.0.0.0.0.0.0.0"}, []),
}
"""Single objects that say a thing apart from the rest."""


def test_every_walk_is_varied() -> None:
    assert sorted(WALKS) == sorted(FAMILIES)


@pytest.mark.parametrize("id", TREES)
def test_every_object_that_is_changed_is_in_a_walk(id: str) -> None:
    tree = TREES[id]
    oids = [oid for name, trees in WALKS.items() if id in trees for oid in walk(name)]
    named = {key for change in tree.states.values() if isinstance(change, Change) for key in change.objects}
    unseen = [key for key in named if key[0] != "+" and not any(fnmatch(oid, f"{tree.base}.{key}") for oid in oids)]
    assert unseen == []


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_state_raises_its_alarms_and_no_others(name: str, state: State) -> None:
    varied = vary(name, state)
    if isinstance(varied, str):
        assert varied
        return
    assert state is State.HEALTHY or varied.objects != walk(name)
    assert shown(varied).alarms == varied.raises


@pytest.mark.parametrize("name", FAMILIES)
def test_a_state_is_no_reason_to_take_a_card_for_another(name: str) -> None:
    driver = driver_of(name)
    for state in State:
        varied = vary(name, state)
        assert isinstance(varied, str) or fits(driver, answers(driver, varied.objects)), state


@pytest.mark.parametrize("flaw", Flaw)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_flaw_of_the_card_neither_hides_an_outage_nor_makes_one(name: str, flaw: Flaw) -> None:
    for state in FLAWED:
        varied = vary(name, state)
        if isinstance(varied, str):
            continue
        _, why = told(varied, flaw)
        assert not why.startswith("≠"), (state, why)


@pytest.mark.parametrize(("name", "tree"), [(name, tree) for name, trees in WALKS.items() for tree in trees])
def test_each_tree_of_a_card_is_heard_alone(name: str, tree: str) -> None:
    """Cards have told an alarm in the maker's table and not in the standard one."""
    for state in (State.OVERLOAD, State.HOT, State.REPLACE, State.KNOWN, State.UNKNOWN):
        varied = vary(name, state, [tree])
        if not isinstance(varied, str) and (name, tree, state) not in UNTOLD_ALONE:
            assert shown(varied).alarms == varied.raises, state


@pytest.mark.parametrize("case", ODD)
def test_odd(case: str) -> None:
    name, objects, raises = ODD[case]
    found = probe.read(driver_of(name), answers(driver_of(name), {**walk(name), **objects}), 0.0)
    assert found.alarms == raises


@pytest.mark.parametrize(("name", "objects", "alarm"), [pytest.param(n, o, a, id=t) for n, t, o, a in said()])
def test_each_alarm_that_a_mib_numbers_is_told_as_what_it_is(name: str, objects: dict[str, Raw], alarm: str) -> None:
    found = probe.read(driver_of(name), answers(driver_of(name), {**walk(name), **objects}), 0.0)
    assert found.alarms == ([alarm] if alarm else [])


def test_a_test_whose_alarms_cannot_be_read_counts_as_an_outage() -> None:
    """An outage is told even if it might be a test: a table that times out must not silence it."""
    varied = vary("orvaldi-ups", State.TEST)
    assert not isinstance(varied, str)
    assert told(varied, Flaw.SILENT)[0] == ["ups.on-battery"]


def test_an_unknown_alarm_keeps_its_number() -> None:
    varied = vary("netmanplus_204", State.UNKNOWN)
    assert not isinstance(varied, str)
    found = read(varied.objects)
    assert found is not None
    assert found.readings["alarms"].value == frozenset({"unknown-1.3.6.1.4.1.32473.9.1"})


def test_the_table_of_all_states_has_nothing_wrong() -> None:
    rows, wrong = table()
    assert rows.row_count == len(NAMES) * (len(State) + 2 * len(Flaw))
    assert wrong == 0


def test_a_walk_as_it_is_raises_what_it_shows() -> None:
    for name in NAMES:
        varied = vary(name, State.HEALTHY)
        assert not isinstance(varied, str)
        assert varied.raises == RAISED.get(name, [])
