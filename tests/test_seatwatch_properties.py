"""What holds of watched seats whatever their parts say, and in whatever order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.readings import Quality, Reading, Value
from edgeagent.seatblind import Blindness, Voice
from edgeagent.seatverdict import HEARD, Doubt, Part, Seen, Word, judge
from edgeagent.seatwatch import SeatWatch
from edgeagent.staffing import Staffing
from tests.hall import BASE
from tests.seatrow import OFFICE, ids, rows

FLAGS = st.sampled_from([None, True, False])
SEEN = st.builds(
    Seen, agent=st.sampled_from([None, *Word]), echo=FLAGS, link=FLAGS, mac=FLAGS, registered=FLAGS, reachable=FLAGS,
    poe=st.sampled_from([None, "delivering", "searching", "off", "fault"]), powered=FLAGS, fitted=st.booleans(),
    phone=st.booleans(), neighbours=st.booleans(),
)  # fmt: skip
SITE = rows(6, phone=True, spares=2, staffed=(OFFICE,))
SAID = st.one_of(
    st.tuples(st.just("pc"), st.just("agent"), st.sampled_from([None, *(word.value for word in Word)])),
    st.tuples(st.just("ping"), st.just("echo"), FLAGS),
    st.tuples(st.just("port"), st.just("link"), st.sampled_from([None, "up", "down", "unknown"])),
    st.tuples(st.just("port"), st.just("poe"), st.sampled_from([None, "delivering", "searching", "off", "unknown"])),
    st.tuples(st.just("phone"), st.just("registered"), FLAGS),
    st.tuples(st.just("phone"), st.just("reachable"), FLAGS),
)
STORY = st.lists(st.tuples(st.integers(0, 4000), st.sampled_from(ids(6)), SAID), max_size=40)


@given(SEEN, st.booleans())
def test_an_agent_that_reports_is_never_a_workstation_that_failed(seen: Seen, staffed: bool) -> None:
    if seen.agent in HEARD:
        assert judge(seen, staffed=staffed).workstation not in (Part.FAILED, Part.EMPTY)


@given(SEEN)
def test_one_witness_alone_fails_no_workstation_but_a_port_that_feeds_nothing(seen: Seen) -> None:
    verdict = judge(seen)
    if verdict.workstation is Part.FAILED:
        assert len(verdict.gone) > 1


@given(SEEN)
def test_nothing_fails_where_nobody_works_or_while_it_is_not_judged(seen: Seen) -> None:
    for verdict in (judge(seen, staffed=False), judge(seen, maintenance=True), judge(seen, blind=True)):
        assert Part.FAILED not in (verdict.workstation, verdict.phone)
        assert verdict.agent is not Part.DOWN


@given(SEEN, st.sampled_from(["echo", "link", "mac"]))
def test_one_more_witness_that_sees_it_alive_never_makes_a_workstation_fail(seen: Seen, name: str) -> None:
    if judge(seen).workstation is not Part.FAILED and getattr(seen, name) is None:
        alive = replace(seen, **{name: True})  # type: ignore[arg-type]
        assert judge(alive).workstation is not Part.FAILED


@given(SEEN)
def test_every_verdict_says_what_the_site_has_and_nothing_of_what_it_has_not(seen: Seen) -> None:
    verdict = judge(seen)
    assert (verdict.workstation is Doubt.NOT_FITTED) is not seen.fitted
    assert (verdict.phone is Doubt.NOT_FITTED) is not seen.phone


def played(story: list[tuple[int, str, tuple[str, str, Value | None]]]) -> SeatWatch:
    """Play a story, and look at each step that nothing is as it may not be."""
    watch = SeatWatch(SITE, UTC)
    view: dict[str, dict[str, Reading]] = {id: {} for id in SITE.devices}
    for second, seat, (part, point, value) in sorted(story, key=lambda each: each[0]):
        now, id = BASE + second, f"{seat}-{part}"
        view[id][point] = Reading.bad("timeout", now) if value is None else Reading(value, now)
        before = {(node, each): reading for node, own in watch.readings.items() for each, reading in own.items()}
        moved, onsets = watch.step(view, [(id, point)], now)
        after = {(node, each): reading for node, own in watch.readings.items() for each, reading in own.items()}
        assert set(moved) == {key for key, reading in after.items() if not reading.same(before.get(key))}
        assert len(moved) == len(set(moved))
        assert all(onset <= now for onset in onsets.values())
    return watch


@given(STORY)
def test_what_is_told_to_have_changed_is_what_has_and_no_fault_begins_before_its_time(
    story: list[tuple[int, str, tuple[str, str, Value | None]]],
) -> None:
    watch = played(story)
    ready = [seat for seat in ids(6) if watch.readings and watch.readings[seat]["ready"].value]
    spare = [seat for seat in ready if SITE.tree.nodes[seat].spare]
    if watch.readings:
        assert watch.readings["agent"]["spares.ready"].value == len(spare)


@given(STORY)
def test_while_the_seats_are_not_heard_none_has_failed(
    story: list[tuple[int, str, tuple[str, str, Value | None]]],
) -> None:
    watch = played(story)
    if watch.readings and watch.readings["agent"]["seats.blind"].value:
        for seat in ids(6):
            assert watch.readings[seat]["workstation"].quality is Quality.BAD


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 19), st.sampled_from(list(Voice)), st.booleans())))
def test_blindness_needs_a_quorum_or_a_way_that_is_gone_and_ends_when_all_are_heard(
    story: list[tuple[int, int, Voice, bool]],
) -> None:
    blind = Blindness(5, 60)
    heard, silent = set[int](), set[int]()
    for second, seat, voice, cut in sorted(story, key=lambda each: each[0]):
        blind.cut = cut
        blind.hear(str(seat), voice, second)
        if voice is Voice.HEARD:
            heard.add(seat)
        elif voice is Voice.LOST and seat in heard:
            silent.add(seat)
        was = blind.blind
        turned = blind.judge(second)
        assert turned is (blind.blind is not was)
        if turned and blind.blind and not cut:
            assert len(silent) >= 5
    blind.cut = False
    for seat in range(20):
        blind.hear(str(seat), Voice.HEARD, 1000)
    blind.judge(1000)
    assert not blind.blind
    assert blind.silent == 0


@given(st.floats(0, 4e8), st.floats(0, 4e5))
def test_a_shift_is_looked_at_again_when_it_next_begins_or_ends(start: float, later: float) -> None:
    one, other = Staffing([(OFFICE,), ()], UTC), Staffing([(OFFICE,), ()], UTC)
    one.turn(start)
    now = start
    while one.due is not None and one.due <= start + later:
        assert one.due > now
        now = one.due
        one.turn(now)
    other.turn(start + later)
    assert one.staffed((OFFICE,)) is other.staffed((OFFICE,))
    assert one.staffed(())
