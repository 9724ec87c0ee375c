"""What speaks against a drill: real alarms, real procedures, the supply, the agent itself, devices to be drilled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest

from edgeagent.alarm import Alarm, Silence, Suppression
from edgeagent.catalog import Severity
from edgeagent.config import Site
from edgeagent.inventory import AGENT
from edgeagent.readings import Reading, Value
from edgeagent.run import Run, RunState
from edgeagent.steady import Trouble, check
from tests.drillscene import alarm, run
from tests.duty import BASE
from tests.hall import Plan, hall

CRITICAL, MAJOR, MINOR = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR
WELL: dict[str, dict[str, Value]] = {
    AGENT: {"broker": "connected", "store": "ok", "clock.synced": True},
    "mains": {"state": "normal"},
    "ups-a": {"reachable": True, "identity": "match"},
    "ups-b": {"reachable": True},
}
NO_MAINS = Plan().add("ups-a", "ups").site()
UNSEEN = Plan().add("mains", "mains").add("room", "environment", fed=["mains"]).add("ups-x", "ups").site()


def read(points: dict[str, Value | None]) -> dict[str, Reading]:
    return {id: Reading.bad("timeout", BASE) if value is None else Reading(value, BASE) for id, value in points.items()}


@dataclass
class Floor:
    """A site that is steady but for what a test changes."""

    site: Site = field(default_factory=lambda: hall(0).site())
    alarms: list[Alarm] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    view: dict[str, dict[str, Reading]] = field(
        default_factory=lambda: {id: read({**points}) for id, points in WELL.items()}
    )
    devices: Iterable[str] = ("ups-a", "ups-b")

    def say(self, resource: str, point: str, value: Value | None) -> Floor:
        self.view.setdefault(resource, {}).update(read({point: value}))
        return self

    def forget(self, resource: str, point: str) -> Floor:
        del self.view[resource][point]
        return self

    def check(self) -> list[Trouble]:
        records = {each.alarm_id: each for each in self.alarms}
        runs = {each.run_id: each for each in self.runs}
        return check(records, runs, self.view, {"mains", "panel"}, frozenset(self.devices), self.site)


TROUBLES: dict[str, tuple[str, Callable[[], Floor]]] = {
    "a critical alarm anywhere": ("real-critical", lambda: Floor(alarms=[alarm("crac.unit-trip", CRITICAL)])),
    "a critical alarm on the shelf": (
        "real-critical",
        lambda: Floor(alarms=[alarm("x.y", CRITICAL, suppression=Suppression(Silence.SHELVED))]),
    ),
    "a major alarm at a drilled device": ("real-major", lambda: Floor(alarms=[alarm("ups-a.battery-fault")])),
    "a major alarm in scope": ("real-major", lambda: Floor(alarms=[alarm("panel.breaker")])),
    "a major alarm that hits the scope": (
        "real-major",
        lambda: Floor(alarms=[alarm("room.hot", impacted_resource=("crac", "ups-b"))]),
    ),
    "a procedure": ("real-run", lambda: Floor(runs=[run()])),
    "a procedure in recovery": ("real-run", lambda: Floor(runs=[run(state=RunState.RECOVERING)])),
    "the mains is lost": ("mains-not-normal", lambda: Floor().say("mains", "state", "lost")),
    "a circuit is lost": ("mains-not-normal", lambda: Floor().say("mains", "state", "circuit-lost")),
    "witnesses cannot be read": ("mains-unknown", lambda: Floor().say("mains", "state", None)),
    "witnesses have not been read": ("mains-unknown", lambda: Floor().forget("mains", "state")),
    "no broker": ("broker-away", lambda: Floor().say(AGENT, "broker", "disconnected")),
    "no word of the broker": ("broker-away", lambda: Floor().forget(AGENT, "broker")),
    "a wrong clock": ("clock-unsynced", lambda: Floor().say(AGENT, "clock.synced", value=False)),
    "a full disk": ("store-failing", lambda: Floor().say(AGENT, "store", "failing")),
    "a device that was never read": ("device-unread", lambda: Floor(devices=["ups-a", "crac"])),
    "a device that is gone": ("device-unreachable", lambda: Floor().say("ups-a", "reachable", value=False)),
    "another device": ("device-mismatch", lambda: Floor().say("ups-a", "identity", "mismatch")),
}


@pytest.mark.parametrize(("code", "floor"), TROUBLES.values(), ids=TROUBLES.keys())
def test_what_is_really_wrong_speaks_against_a_drill(code: str, floor: Callable[[], Floor]) -> None:
    (trouble,) = floor().check()
    assert trouble.code == code
    assert "{" not in trouble.text.en + trouble.text.zh


PASSES: dict[str, Callable[[], Floor]] = {
    "nothing": Floor,
    "a major alarm elsewhere": lambda: Floor(alarms=[alarm("crac.unit-trip")]),
    "a minor alarm at a drilled device": lambda: Floor(alarms=[alarm("ups-a.door", MINOR)]),
    "a critical alarm that is over": lambda: Floor(alarms=[replace(alarm("x.y", CRITICAL), is_cleared=True)]),
    "an alarm of a drill": lambda: Floor(alarms=[alarm("x.y", CRITICAL, origin="d")]),
    "a run that is over": lambda: Floor(runs=[run(state=RunState.CLOSED), run(run_id="b", state=RunState.ABORTED)]),
    "a run of a drill": lambda: Floor(runs=[run(origin="d")]),
    "a device that nothing is shown of": lambda: Floor().say("crac", "reachable", value=False),
    "no time service that tells of the clock": lambda: Floor().forget(AGENT, "clock.synced"),
    "a site without a mains": lambda: Floor(NO_MAINS).say("mains", "state", None),
    "a mains without witnesses": lambda: Floor(UNSEEN).say("mains", "state", None),
}


@pytest.mark.parametrize("floor", PASSES.values(), ids=PASSES.keys())
def test_nothing_else_does(floor: Callable[[], Floor]) -> None:
    assert floor().check() == []


def test_all_that_is_wrong_is_said_the_gravest_first() -> None:
    floor = Floor(
        alarms=[alarm("ups-b.fault", raised=BASE), alarm("ups-a.fault", raised=BASE + 1), alarm("crac.fire", CRITICAL)],
        runs=[run("security", "a"), run("security", "b"), run("outage", "c")],
    ).say(AGENT, "broker", "refused").say("mains", "state", "lost")  # fmt: skip
    troubles = floor.check()
    assert [trouble.code for trouble in troubles] == [
        "real-critical", "real-major", "real-run", "mains-not-normal", "broker-away",
    ]  # fmt: skip
    assert [trouble.text.zh for trouble in troubles] == [
        "存在真实的紧急告警：crac fire 告警",
        "演练范围内存在真实的重要告警：ups-b fault 告警（另有 1 条告警）",
        "真实预案正在执行：security 预案、outage 预案",
        "实际供电不正常：市电断电",
        "监控代理未连接消息服务器",
    ]


def test_many_devices_are_named_up_to_a_few_and_counted() -> None:
    site = hall(20).site()
    devices = sorted(id for id in site.devices if id.startswith("pc-"))
    (trouble,) = Floor(site, devices=devices).check()
    assert trouble.text.en == "not read yet: " + ", ".join(devices[:8]) + " +12"
    assert trouble.text.zh == "尚未读取：" + "、".join(f"“{id}”" for id in devices[:8]) + " +12"
