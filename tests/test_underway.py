"""What waits in the outbox: rows in hand are sent without a look at the disk where they are all that waits."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeagent import outbox
from edgeagent.messages import Message, Place
from edgeagent.outbox import Row
from edgeagent.underway import AHEAD, Owed, Waiting, parted

Deed: TypeAlias = tuple[str, list[int], int]
"""Who writes, `feed` or `store` by itself, or that it is sent; places of the messages; how many may be sent."""

deeds: st.SearchStrategy[list[Deed]] = st.lists(
    st.tuples(
        st.sampled_from(["feed", "feed", "store", "send", "send", "look"]),
        st.lists(st.integers(1, 4), max_size=4),
        st.integers(1, 6),
    )
)


def row(id: int, place: int) -> Row:
    return Row(id, Message(f"topic/{id % 3}", b"{}", Place(place)))


def written(disk: list[Row], rows: list[Row]) -> list[Row]:
    """Write rows as the outbox does: a state takes the place of the one that waits."""
    for each in rows:
        if each.message.place < Place.EVENT:
            disk = [old for old in disk if old.message.place >= Place.EVENT or old.message.topic != each.message.topic]
        disk = [*disk, each]
    return disk


@given(deeds)
def test_what_is_in_hand_is_what_a_look_at_the_disk_would_find(deeds: list[Deed]) -> None:
    disk, waiting, last, unknown, events = list[Row](), Waiting(), 0, False, list[int]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgeagent.underway.AHEAD", 5)
        for deed, places, limit in deeds:
            rows = [row(last + number, place) for number, place in enumerate(places, 1)]
            if deed in ("feed", "store"):
                last += len(rows)
                disk = written(disk, rows)
                if deed == "feed":
                    waiting.add(rows)
                    unknown = unknown and not rows
                else:
                    unknown = unknown or bool(rows)
            elif deed == "look":
                waiting.add(None)
                unknown = False
            elif waiting.some:
                found, sure = outbox.in_order(disk), not (waiting.more or unknown)
                sent = waiting.take(limit)
                if sent is None:
                    sent, unknown = waiting.look(found[:5], limit), False
                    assert sent == found[: min(limit, 5)]
                elif sure:
                    assert sent == found[:limit]
                events += [each.id for each in sent if each.message.place is Place.EVENT]
                disk = [each for each in disk if each not in sent]
            assert len(waiting.ahead) <= 5
            assert waiting.some or unknown or not disk
    assert events == sorted(set(events))


def test_the_first_rows_of_a_process_wait_for_a_look_at_what_the_last_one_left() -> None:
    waiting = Waiting()
    waiting.add([row(1, 3)])
    assert waiting.take(10) is None


def test_one_alarm_after_another_is_in_hand_in_the_order_in_which_it_is_sent() -> None:
    waiting = Waiting(more=False)
    for first in (1, 4):
        record, event, snapshot = rows = [row(first, 2), row(first + 1, 3), row(first + 2, 1)]
        waiting.add(rows)
        assert waiting.take(10) == [snapshot, record, event]
        assert not waiting.some


def test_what_is_in_hand_goes_as_room_comes_and_only_what_is_more_is_read_from_the_disk() -> None:
    waiting = Waiting(more=False)
    rows = [row(number, 3) for number in range(1, AHEAD + 2)]
    waiting.add(rows[:2])
    assert waiting.take(1) == rows[:1]
    waiting.add(rows[2:])
    assert waiting.take(1) == rows[1:2]
    waiting.add([row(AHEAD + 2, 3)])
    assert not waiting.more
    waiting.add([row(AHEAD + 3 + number, 3) for number in range(AHEAD)])
    assert waiting.more
    assert waiting.take(AHEAD) == [*rows[2:], row(AHEAD + 2, 3)]
    assert waiting.take(1) is None


def test_what_alarms_are_is_owed_before_all_else_and_the_snapshot_before_events_that_are_late() -> None:
    owed = Owed()
    held = {topic: Message(topic, b"{}", place, 1) for topic, place in (("doc", Place.STATE), ("list", Place.SNAPSHOT))}
    owed.again(held)
    assert (owed.first, owed.next) == ("list", "list")
    owed.drop("list")
    assert (owed.first, owed.next) == (None, "doc")
    owed.tell([Message("alarm", b"{}", Place.STATE)])
    assert (owed.first, owed.next) == (None, "alarm")
    owed.drop("alarm")
    owed.drop("doc")
    assert owed.next is None


def test_retained_state_is_no_row_and_what_is_deleted_or_of_a_drill_is() -> None:
    state, stone = Message("a", b"{}", Place.STATE, retain=True), Message("b", b"", Place.STATE, retain=True)
    event, drill = Message("c", b"{}", Place.EVENT), Message("d", b"{}", Place.DRILL, retain=True)
    assert parted([state, stone, event, drill]) == ([stone, event, drill], [state])
