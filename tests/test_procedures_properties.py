"""What holds for runs whatever happens: how they end, what ticks a step, each deadline once, unseen restarts."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.procedures import Refused
from edgeagent.run import RunChange, RunState, RunVerb, StepState
from tests.duty import BASE, CIRCUIT, FREE, LOST, MAINS, SUPPRESSED, Duty, shipped

ALARMS = [LOST, CIRCUIT, "crac-1.unit-trip", "s1-pc.offline", "x1-pc.offline", "switch.group.softphone-down"]
READS: list[tuple[str, str, list[object]]] = [
    ("ups-a", "source", ["normal", "battery", None]),
    ("ups-b", "source", ["normal", "battery", None]),
    ("crac-1", "running", [True, False, None]),
    ("crac-2", "running", [True, False, None]),
    ("genset", "mode", ["auto", "manual", None]),
    (MAINS, "generator", ["idle", "ordered", "carrying", "unknown", None]),
    (MAINS, "state", ["normal", "lost", "circuit-lost", None]),
]
STEPS = sorted({step.id for procedure in shipped().values() for step in procedure.steps})
Deed: TypeAlias = tuple[float, str, tuple[object, ...]]
"""Seconds to wait, what to do, with what."""

waits = st.sampled_from([0.0, 1.0, 7.0, 29.0, 31.0, 61.0, 125.0, 301.0, 700.0, 2000.0])
alarms = st.tuples(st.sampled_from(["raise", "clear", "suppress", "free"]), st.tuples(st.sampled_from(ALARMS)))
people = st.one_of(
    st.tuples(st.sampled_from(["done", "skip"]), st.tuples(st.integers(0, 5), st.sampled_from(STEPS))),
    st.tuples(st.sampled_from(["ack", "close", "abort", "level", "command"]), st.tuples(st.integers(0, 5))),
    st.tuples(st.just("open"), st.tuples(st.sampled_from(sorted(shipped())))),
)
reads = st.sampled_from([("read", (device, point, value)) for device, point, them in READS for value in them])


def deeds(*kinds: st.SearchStrategy[tuple[str, tuple[object, ...]]]) -> st.SearchStrategy[list[Deed]]:
    each = st.tuples(waits, st.one_of(*kinds)).map(lambda pair: (pair[0], pair[1][0], pair[1][1]))
    return st.lists(each, max_size=30)


def do(duty: Duty, deed: Deed, *, dead: bool = False) -> None:
    """Wait, or be dead meanwhile, and do one thing."""
    seconds, verb, words = deed
    second = duty.now - BASE + seconds
    if dead:
        duty.restart(second)
    duty.at(second)
    if verb == "read":
        device, point, value = words
        duty.read(second, str(device), **{str(point): value})  # type: ignore[arg-type]
    elif verb == "raise":
        duty.raised(second, str(words[0]))
    elif verb == "clear":
        duty.cleared(second, str(words[0]))
    elif verb in ("suppress", "free"):
        duty.changed(second, str(words[0]), suppression=SUPPRESSED if verb == "suppress" else FREE)
    else:
        ask(duty, second, verb, words)


def ask(duty: Duty, second: float, verb: str, words: tuple[object, ...]) -> None:
    runs = list(duty.procedures.runs())
    more: tuple[object, ...] = {
        "done": (words[-1], "Lin", ""), "skip": (words[-1], "Lin", "why"), "ack": ("Lin",), "close": ("Lin", "why"),
        "abort": ("Lin", "why"), "level": (3, "Lin", "why"), "command": ("Lin",), "open": (),
    }[verb]  # fmt: skip
    try:
        if verb == "open":
            duty.ask(second, "open", words[0], "", "Lin", "why")
        elif runs:
            number = words[0]
            assert isinstance(number, int)
            duty.ask(second, verb, runs[number % len(runs)], *more)
    except Refused:
        return


def played(story: list[Deed]) -> Duty:
    duty = Duty()
    for deed in story:
        do(duty, deed)
    duty.at(duty.now - BASE + 5000)
    return duty


@given(deeds(alarms, people, reads))
def test_a_run_closes_only_by_rule(story: list[Deed]) -> None:
    before: dict[str, RunChange] = {}
    for change in played(story).told:
        run = change.run
        if change.verb is RunVerb.CLOSED and change.by == "system":
            assert before[run.run_id].run.state is RunState.RECOVERING
            assert not run.standing
            assert all(step.settled for step in run.steps)
            assert run.recovered is not None
        elif change.verb is RunVerb.CLOSED:
            assert change.reason
            assert not run.standing or run.opened_by != "system"
        elif change.verb is RunVerb.ABORTED:
            assert change.by == "Lin"
        if run.run_id in before:
            assert not before[run.run_id].run.over
        before[run.run_id] = change


@given(deeds(alarms, people, reads))
def test_no_step_is_done_without_a_person_or_a_proof_nor_skipped_without_a_reason(story: list[Deed]) -> None:
    for change in played(story).told:
        for step in change.run.steps:
            if step.state is StepState.DONE:
                assert step.at is not None
                assert step.by == "Lin" or (step.by == "system" and step.evidence)
            elif step.state is StepState.SKIPPED:
                assert step.note


@given(deeds(alarms, people, reads))
def test_each_deadline_is_told_once_and_no_run_goes_back_in_time(story: list[Deed]) -> None:
    duty = played(story)
    overdue = Counter((c.run.run_id, c.step, c.run.the(c.step).due) for c in duty.told if c.verb == "step-overdue")
    assert not [key for key, count in overdue.items() if count > 1]
    last: dict[str, float] = {}
    for change in duty.told:
        assert change.at >= last.get(change.run.run_id, change.at)
        last[change.run.run_id] = change.at
        due = change.run.the(change.step).due if change.verb is RunVerb.STEP_OVERDUE else None
        assert due is None or due <= change.at


@given(deeds(alarms, people, reads))
def test_one_run_of_a_procedure_is_open_for_one_thing_and_no_spare_seat_is_named_twice(story: list[Deed]) -> None:
    duty = Duty()
    ids: set[str] = set()
    for deed in story:
        do(duty, deed)
        runs = [run for run in duty.procedures.runs().values() if not run.over]
        assert len({(run.procedure, run.scope, run.origin) for run in runs}) == len(runs)
        spares = [run.spare for run in runs if run.spare is not None]
        assert len(set(spares)) == len(spares)
        opened = [change.run.run_id for change in duty.told if change.verb is RunVerb.OPENED]
        assert len(set(opened)) == len(opened)
        ids.update(opened)


@given(deeds(alarms, people), st.lists(st.booleans(), min_size=30, max_size=30))
def test_nobody_can_tell_from_the_story_that_the_agent_was_dead(story: list[Deed], dead: list[bool]) -> None:
    through, killed = Duty(), Duty()
    for deed, was_dead in zip(story, dead, strict=False):
        do(through, deed)
        do(killed, deed, dead=was_dead)
    for duty in (through, killed):
        duty.at(duty.now - BASE + 5000)

    def plain(duty: Duty) -> list[tuple[object, ...]]:
        told = [change for change in duty.told if change.verb is not RunVerb.REMINDED]
        return sorted((c.at, c.run.run_id, c.verb, c.step, c.by, c.text.zh) for c in told)

    assert plain(killed) == plain(through)
    reminders = Counter(c.verb for c in through.told)[RunVerb.REMINDED]
    assert Counter(c.verb for c in killed.told)[RunVerb.REMINDED] <= reminders


@given(deeds(alarms, people, reads))
def test_nothing_is_told_without_a_clock_an_alarm_a_reading_or_a_person(story: list[Deed]) -> None:
    duty = Duty()
    for deed in story:
        do(duty, deed)
        duty.at(duty.now - BASE)
        due = duty.procedures.next_due()
        between = duty.now if due is None else (duty.now + due) / 2
        assert duty.procedures.step([], duty.records, duty.view, between, []) == []
        assert duty.procedures.step([], duty.records, duty.view, duty.now) == []
        assert duty.procedures.touched() == frozenset()


@given(deeds(alarms, people, reads), st.integers(-100_000, 100_000))
def test_a_stepped_clock_changes_nothing_but_the_times(story: list[Deed], delta: int) -> None:
    still, stepped = Duty(), Duty()
    for duty in (still, stepped):
        for deed in story:
            do(duty, deed)
    marks = len(still.told)
    stepped.procedures.shift(delta)
    stepped.now += delta
    still.at(still.now - BASE + 5000)
    stepped.at(stepped.now - BASE + 5000)
    assert [(c.at, c.verb, c.step) for c in still.told[marks:]] == [
        (c.at - delta, c.verb, c.step) for c in stepped.told[marks:]
    ]
