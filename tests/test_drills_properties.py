"""What holds for drills whatever happens: one at a time, an end in time and told once, verdicts that stand."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent.alarm import Verb
from edgeagent.catalog import Severity
from edgeagent.drill import RENEWAL, Drill, DrillChange, DrillRefused, DrillVerb, End, Verdict
from edgeagent.drills import Drills, Start
from edgeagent.readings import Reading
from edgeagent.run import RunChange, RunState, RunVerb
from edgeagent.scenario import LONGEST, DrillSettings
from tests.drillscene import ALARMS_ONLY, DEVICES, OUTAGE, PLANNED, SCOPE, TALK, alarm, change, run
from tests.duty import BASE, CHINA

Deed: TypeAlias = tuple[float, str, tuple[Any, ...]]
"""Seconds to wait, what happens, with what."""
SCENARIOS = [OUTAGE, ALARMS_ONLY, TALK]
FINAL = frozenset({Verdict.MET, Verdict.LATE, Verdict.BROKEN, Verdict.HELD, Verdict.UNJUDGED})
ENDING = ("stop", "end", "grave", "real-run", "hot")

waits = st.sampled_from([0.0, 0.5, 5.0, 30.0, 44.0, 61.0, 200.0, 239.0, 300.0, 301.0, 900.0, 5000.0, 20_000.0])
starts = st.tuples(
    st.just("start"),
    st.tuples(
        st.sampled_from(SCENARIOS), st.sampled_from([None, 1.0, 60.0, 1000.0, LONGEST]), st.sampled_from([1.0, 4.0])
    ),
)
people = st.sampled_from(["renew", "renew", "note", "late-note", "stop"]).map(lambda verb: (verb, ()))
agent = st.sampled_from([("broker", (True,)), ("broker", (False,)), ("end", (End.RELOAD,)), ("step", ())])
real = st.sampled_from(["slight", "grave", "real-run", "hot", "mild"]).map(lambda verb: (verb, ()))
shown = st.sampled_from(["injected", "failed"]).map(lambda verb: (verb, ()))
drilled = st.tuples(
    st.just("drilled"),
    st.tuples(
        st.sampled_from([0.0, 3.0, 60.0]),
        st.one_of(
            st.tuples(
                st.sampled_from([Verb.RAISED, Verb.CLEARED]), st.sampled_from(["mains.mains-lost", "g.failed-to-start"])
            ),
            st.tuples(
                st.sampled_from(
                    [RunVerb.OPENED, RunVerb.STEP_DONE, RunVerb.ACKNOWLEDGED, RunVerb.RECOVERING, RunVerb.CLOSED]
                ),
                st.sampled_from(["outage", "security"]),
            ),
        ),
    ),
)


def deeds() -> st.SearchStrategy[list[Deed]]:
    one = st.one_of(starts, people, agent, real, shown, drilled, drilled)
    story = st.lists(st.tuples(waits, one).map(lambda pair: (pair[0], *pair[1])), max_size=25)
    return st.tuples(starts, story).map(lambda both: [(0.0, *both[0]), *both[1]])


class Played:
    """Calls in any order at any times, late ones too; nobody serves the clocks between them."""

    def __init__(self) -> None:
        self.drills = Drills(DrillSettings(second_person=False, speed=4))
        self.told: list[DrillChange] = []
        self.now = BASE
        self.renewed = BASE

    def do(self, deed: Deed) -> list[DrillChange]:
        seconds, verb, words = deed
        self.now += seconds
        try:
            changes = self._do(verb, words)
        except DrillRefused:
            changes = []
        self.told += changes
        return changes

    def _do(self, verb: str, words: tuple[Any, ...]) -> list[DrillChange]:
        drills, now = self.drills, self.now
        if verb == "start":
            scenario, duration, speed = words
            self.told += drills.step(now)
            asked = Start("Lin", duration=duration, speed=speed)
            return drills.start(asked, scenario, SCOPE, DEVICES, (), now, datetime.fromtimestamp(now, CHINA))
        if verb == "drilled":
            return self._drilled(*words)
        if verb in ("slight", "grave"):
            record = alarm("ups-a.fault", Severity.MAJOR if verb == "grave" else Severity.MINOR)
            return drills.live([change(Verb.RAISED, record, now - BASE)], [], now)
        if verb == "real-run":
            own = run("security", "security-1")
            return drills.live([], [RunChange(RunVerb.OPENED, own, now, own.text)], now)
        if verb in ("hot", "mild"):
            view = {"room": {"temperature": Reading(40.0 if verb == "hot" else 20.0, now)}}
            return drills.conditions(view, {"room": "environment"}, now)
        more: tuple[Any, ...] = {
            "renew": ("Lin",), "note": ("Lin", "seen"), "late-note": ("Lin", "later"), "stop": ("Zhao", ""),
            "injected": (PLANNED,), "failed": (PLANNED[0], "why"),
        }.get(verb, words)  # fmt: skip
        if drills.current is not None and drills.current.scenario is not OUTAGE and verb in ("injected", "failed"):
            return []
        return getattr(drills, verb.removeprefix("late-"))(*more, now=now)  # type: ignore[no-any-return]

    def _drilled(self, ago: float, what: tuple[Any, str]) -> list[DrillChange]:
        drill = self.drills.current
        if drill is None:
            return []
        verb, name = what
        at = drill.started + drill.moment(max(drill.started, self.now - ago))  # by the clock of the drill
        if isinstance(verb, RunVerb):
            states = {RunVerb.CLOSED: RunState.CLOSED, RunVerb.RECOVERING: RunState.RECOVERING}
            own = run(name, state=states.get(verb, RunState.OPEN), origin="d")
            told = RunChange(verb, own, at, own.text, "Zhao", "ups-carries" if verb is RunVerb.STEP_DONE else "")
            return self.drills.drilled([], [told], self.now)
        record = alarm(name, origin="d")
        return self.drills.drilled([change(verb, record, at - BASE)], [], self.now)


def played(story: list[Deed]) -> Played:
    play = Played()
    for deed in story:
        play.do(deed)
    play.do((10 * LONGEST, "step", ()))
    return play


def by_drill(told: list[DrillChange]) -> dict[str, list[DrillChange]]:
    found: dict[str, list[DrillChange]] = {}
    for each in told:
        found.setdefault(each.drill.drill_id, []).append(each)
    return found


@given(deeds())
def test_there_is_never_a_second_drill_beside_the_first(story: list[Deed]) -> None:
    running: str | None = None
    for each in played(story).told:
        if each.verb is DrillVerb.STARTED:
            assert running is None
            running = each.drill.drill_id
        elif each.verb is DrillVerb.ENDED:
            assert running == each.drill.drill_id
            running = None
    assert running is None


@given(deeds())
def test_each_drill_has_one_beginning_and_one_end_and_after_that_only_notes(story: list[Deed]) -> None:
    play = played(story)
    assert play.drills.current is None
    assert play.drills.next_due() is None
    for changes in by_drill(play.told).values():
        verbs = [each.verb for each in changes]
        assert verbs[0] is DrillVerb.STARTED
        assert Counter(verbs)[DrillVerb.STARTED] == Counter(verbs)[DrillVerb.ENDED] == 1
        last = verbs.index(DrillVerb.ENDED)
        assert set(verbs[last + 1 :]) <= {DrillVerb.NOTED}
        assert len({id(each.drill) for each in changes[last:]}) == 1
        assert changes[last].drill.ended == changes[last].at
        assert changes[last].drill.end is not None


@given(deeds())
def test_it_ends_in_time_and_by_the_last_renewal(story: list[Deed]) -> None:
    for changes in by_drill(played(story).told).values():
        drill = next(each.drill for each in changes if each.verb is DrillVerb.ENDED)
        led = max(each.at for each in changes if each.verb in (DrillVerb.STARTED, DrillVerb.RENEWED))
        assert drill.ended is not None
        assert drill.started <= drill.ended <= min(drill.ends, drill.started + LONGEST, led + RENEWAL)


@given(deeds())
def test_each_expectation_gets_one_verdict_that_stands(story: list[Deed]) -> None:
    for changes in by_drill(played(story).told).values():
        before: list[Verdict] = [Verdict.OPEN] * len(changes[0].drill.outcomes)
        for each in changes:
            after = [outcome.verdict for outcome in each.drill.outcomes]
            for old, new in zip(before, after, strict=True):
                assert old is new or old not in FINAL
            before = after
        assert Verdict.OPEN not in before
        told = Counter((each.verb, each.facts["expectation"]) for each in changes if "expectation" in each.facts)
        assert not [key for key, count in told.items() if count > 1]


@given(deeds())
def test_verdicts_are_true(story: list[Deed]) -> None:
    for changes in by_drill(played(story).told).values():
        drill: Drill = changes[-1].drill
        for expected, outcome in zip(drill.scenario.expects, drill.outcomes, strict=True):
            due = drill.when(expected.by)
            if outcome.verdict is Verdict.MET:
                assert outcome.at is not None
                assert outcome.at <= due
            elif outcome.verdict is Verdict.LATE:
                assert outcome.at is not None
                assert outcome.at > due
            elif outcome.verdict is Verdict.MISSED:
                assert outcome.at is None
                assert drill.ended is not None
                assert due <= drill.ended
            assert expected.never is (outcome.verdict in (Verdict.HELD, Verdict.BROKEN)) or (
                expected.never and outcome.verdict is Verdict.UNJUDGED
            )


@given(deeds())
def test_what_is_told_of_a_drill_never_goes_back_in_time(story: list[Deed]) -> None:
    for changes in by_drill(played(story).told).values():
        times = [each.at for each in changes]
        assert times == sorted(times)


@pytest.mark.parametrize("verb", ENDING)
@given(story=deeds())
def test_whoever_or_whatever_may_end_it_ends_it_at_once(story: list[Deed], verb: str) -> None:
    play = Played()
    for deed in story:
        play.do(deed)
        if play.drills.current is not None and (verb != "hot" or play.drills.current.scenario.aborts):
            changes = play.do((0.0, verb, (End.RELOAD,) if verb == "end" else ()))
            assert play.drills.current is None
            assert [each.verb for each in changes].count(DrillVerb.ENDED) == 1
            assert changes[-1].at <= play.now


@given(deeds(), st.integers(-100_000, 100_000))
def test_a_stepped_clock_changes_nothing_but_the_times(story: list[Deed], delta: int) -> None:
    still, stepped = Played(), Played()
    for play in (still, stepped):
        for deed in [*story, (0.0, "step", ())]:
            play.do(deed)
    marks = len(still.told)
    stepped.drills.shift(delta)
    stepped.now += delta
    for play in (still, stepped):
        play.do((10 * LONGEST, "step", ()))
    assert [(each.at, each.verb) for each in still.told[marks:]] == [
        (each.at - delta, each.verb) for each in stepped.told[marks:]
    ]


@given(deeds())
def test_clocks_that_are_served_on_time_tell_what_late_ones_tell(story: list[Deed]) -> None:
    # What is heard of late may have been missed by then, which only those can tell who looked.
    story = [(wait, verb, (0.0, words[1]) if verb == "drilled" else words) for wait, verb, words in story]
    late, punctual = played(story), Played()
    for deed in [*story, (10 * LONGEST, "step", ())]:
        until = punctual.now + deed[0]
        for _ in range(1000):
            due = punctual.drills.next_due()
            if due is None or due >= until:
                break
            punctual.told += punctual.drills.step(due)
        else:
            raise AssertionError("clocks never come to rest")
        punctual.do(deed)
    plain = [[(each.verb, each.drill.drill_id, each.at) for each in play.told] for play in (late, punctual)]
    assert plain[0] == plain[1]
