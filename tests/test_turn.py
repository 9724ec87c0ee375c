"""One turn of answers: alarms before what is said, and no alarm behind the decoding of others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Final, cast

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.devices import DeviceState
from edgeagent.readings import Answers, Missing, Reading, Value
from edgeagent.turn import Polled, take
from edgeagent.voice import Voice

NOW: Final = 1_795_000_000.0
Values = Mapping[str, Value | None]


class Told:
    """Writes down what is done, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.changed: list[tuple[str, str]] = []
        self.read: list[str] = []
        self.steps = 0

    def step(self, polled: Polled, changed: list[tuple[str, str]], now: float) -> None:
        assert now == NOW
        self.steps += 1
        self.changed += changed
        self.read += [state.device.id for state, _ in polled]
        self.log += [("judged", state.device.id) for state, _ in polled]

    def due(self, id: str, now: float) -> bool:
        return id.startswith("due")

    def note(self, state: DeviceState, now: float, points: Iterable[str]) -> None:
        self.log.append(("said", state.device.id))

    def availability(self, state: DeviceState, now: float) -> None:
        self.log.append(("available", state.device.id))


def run(
    turn: Mapping[str, Values], silent: Collection[str] = (), walks: tuple[str, ...] = (), calm: Collection[str] = ()
) -> Told:
    """Take a turn in which devices come to say so, all at addresses named as their points; None is no answer.

    Before, each said nothing of these points; the `silent` ones said nothing at all, and the `calm` ones say no more.
    """
    told = Told()

    def device(id: str, values: Values) -> tuple[DeviceState, Answers]:
        readings: dict[str, Reading] = {}

        def taken(answers: Answers, now: float, *, exact: bool) -> frozenset[str]:
            assert exact is told.due(id, now), "what is said again is said as it is now"
            told.log.append(("decoded", id))
            for point, value in values.items():
                readings[point] = Reading.bad("timeout", now) if value is None else Reading(value, now)
            return frozenset(values)

        driver = SimpleNamespace(telling=("source", "reachable"), walks=walks)
        answers = cast(
            "Answers",
            {"as": "ever"} | {point: Missing.TIMEOUT if raw is None else raw for point, raw in values.items()},
        )
        last = None if id in silent else {"as": "ever"}
        state = SimpleNamespace(
            device=SimpleNamespace(id=id), readings=readings, take=taken, answers=last, repeats=lambda now: now is last,
            driver=driver, goes_on=lambda answers, now: id in calm,
        )  # fmt: skip
        return cast("DeviceState", state), answers

    take([device(id, values) for id, values in turn.items()], told.step, cast("Voice", told), NOW)
    return told


def test_a_fault_is_judged_before_any_other_device_is_decoded() -> None:
    told = run({"a": {"load": 1.0}, "b": {"source": "battery"}, "c": {"load": 2.0}})
    assert told.log == [
        ("decoded", "b"), ("judged", "b"), ("decoded", "a"), ("decoded", "c"), ("judged", "a"), ("judged", "c"),
        ("said", "b"), ("said", "a"), ("said", "c"),
    ]  # fmt: skip


def test_an_answer_that_stays_away_is_judged_first_where_one_came_before() -> None:
    turn: dict[str, Values] = {"a": {"load": 1.0}, "b": {"source": None}}
    assert run(turn).read == ["b", "a"]
    assert run(turn, silent="b").read == ["a", "b"]


def test_a_row_of_a_walked_table_is_more_than_a_number() -> None:
    turn: dict[str, Values] = {"a": {"load": 1.0}, "b": {"table.1": 1}}
    assert run(turn, walks=("table",)).read == ["b", "a"]
    assert run(turn, walks=("tab",)).read == ["a", "b"]


def test_nothing_is_said_of_a_device_before_all_are_judged() -> None:
    log = run({"a": {"load": 1.0}, "b": {"reachable": True}}).log
    assert [what for what, _ in log] == ["decoded", "judged", "decoded", "judged", "available", "said", "said"]


def test_numbers_and_answers_that_did_not_come_are_judged_together() -> None:
    assert run({"a": {"load": 1.0}, "b": {"load": None}, "c": {"runtime": 3}}).steps == 1


def test_very_many_faults_at_once_are_judged_in_one_step() -> None:
    assert run({f"ups-{number}": {"source": "battery"} for number in range(100)}).steps == 1


def test_what_did_not_change_is_said_when_it_is_due() -> None:
    assert [id for what, id in run({"due": {}, "other": {}}).log if what == "said"] == ["due"]


def test_who_goes_on_as_before_is_not_decoded_but_was_asked() -> None:
    told = run({"a": {}, "b": {"load": 1.0}, "c": {"source": "battery"}, "due": {}}, calm=("a", "due"))
    assert [id for what, id in told.log if what == "decoded"] == ["c", "b", "due"]
    assert told.read == ["c", "b", "due", "a"]
    assert told.steps == 2


VALUES: Final = st.sampled_from([1, 2.5, True, "battery", frozenset({"fire"}), None])


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.dictionaries(st.sampled_from(["x", "y", "source"]), VALUES), min_size=1
    ),
    st.sets(st.sampled_from("abcdefgh")),
)
def test_all_are_judged_once_as_in_one_step_faults_first(turn: dict[str, Values], silent: set[str]) -> None:
    told = run(turn, silent)
    first = [id for id in turn if "source" in turn[id] and id not in silent]
    assert told.read == first + [id for id in turn if id not in first]
    assert sorted(told.changed) == sorted((id, point) for id, values in turn.items() for point in values)
    assert list(dict.fromkeys(id for id, _ in told.changed)) == [id for id in told.read if turn[id]]
