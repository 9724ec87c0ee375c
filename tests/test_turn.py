"""One turn of answers: alarms before what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Final, cast

from hypothesis import given
from hypothesis import strategies as st

from edgeagent.devices import DeviceState
from edgeagent.readings import Answers, Reading, Value
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


def run(turn: Mapping[str, Values]) -> Told:
    """Take a turn in which devices come to say so; None is no answer."""
    told = Told()

    def device(id: str, values: Values) -> tuple[DeviceState, Answers]:
        readings: dict[str, Reading] = {}

        def taken(answers: Answers, now: float, *, exact: bool) -> frozenset[str]:
            assert exact is told.due(id, now), "what is said again is said as it is now"
            told.log.append(("decoded", id))
            for point, value in values.items():
                readings[point] = Reading.bad("timeout", now) if value is None else Reading(value, now)
            return frozenset(values)

        state = SimpleNamespace(device=SimpleNamespace(id=id), readings=readings, take=taken)
        return cast("DeviceState", state), {}

    take([device(id, values) for id, values in turn.items()], told.step, cast("Voice", told), NOW)
    return told


def test_nothing_is_said_of_a_device_before_all_are_judged() -> None:
    log = run({"a": {"load": 1.0}, "b": {"reachable": True}}).log
    assert [what for what, _ in log] == ["decoded", "decoded", "judged", "judged", "said", "available", "said"]


def test_what_did_not_change_is_said_when_it_is_due() -> None:
    assert [id for what, id in run({"due": {}, "other": {}}).log if what == "said"] == ["due"]


VALUES: Final = st.sampled_from([1, 2.5, True, "battery", frozenset({"fire"}), None])


@given(
    st.dictionaries(
        st.sampled_from("abcdefgh"), st.dictionaries(st.sampled_from(["x", "y", "source"]), VALUES), min_size=1
    )
)
def test_all_are_judged_in_one_step(turn: dict[str, Values]) -> None:
    told = run(turn)
    assert told.steps == 1
    assert told.read == list(turn)
    assert sorted(told.changed) == sorted((id, point) for id, values in turn.items() for point in values)
