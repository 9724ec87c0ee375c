"""What waits in the outbox: rows in hand are sent without a look at the disk where they are all that waits."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from edgeagent import outbox
from edgeagent.messages import Message, Place
from edgeagent.outbox import Row
from edgeagent.underway import Waiting

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
def test_what_is_in_hand_is_all_that_a_look_at_the_disk_would_find(deeds: list[Deed]) -> None:
    disk, waiting, last, unknown = list[Row](), Waiting(), 0, False
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
            found = outbox.in_order(disk)
            sent = waiting.take(limit)
            if sent is None:
                sent, unknown = found[:limit], False
                waiting.more = len(sent) == limit
            elif not unknown:
                assert sent == found
            disk = [each for each in disk if each not in sent]
        assert waiting.some or unknown or not disk


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


def test_more_than_may_be_sent_is_read_from_the_disk_as_room_comes() -> None:
    waiting = Waiting(more=False)
    waiting.add([row(1, 3), row(2, 3)])
    assert waiting.take(1) is None
    assert waiting.more
