"""Journals written by hand: a run told step by step, and one story of each procedure, for what is made of journals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import orjson

from edgeagent.catalog import Text
from edgeagent.faultrecord import journal_of
from edgeagent.procedure import FaultLevel, Phase, Procedure, Role, Scope, Step, Ticked
from edgeagent.run import Evidence, Run, RunChange, RunState, RunVerb, StepRun, StepState
from edgeagent.store import Entry

BASE: Final = 1_795_564_800.0 + 1800.0
"""2026-11-25 00:30:00 UTC, 08:30 in China."""
RECOVERY: Final = Phase.RECOVERY
MINUTE: Final = 60.0
FAULT: Final = Text("Something failed", "发生故障")
CENTRE: Final = Text("Call centre", "呼叫中心")


def both(en: str, zh: str) -> Text:
    return Text(en, zh)


def step(id: str, en: str, zh: str, role: Role = Role.LEADER, **more: Any) -> Step:  # noqa: ANN401 - fields of Step
    return Step(id, Text(en, zh), role, **more)


def procedure(id: str, en: str, zh: str, scope: Scope, *steps: Step, levels: tuple[FaultLevel, ...] = ()) -> Procedure:
    return Procedure(id, 3, Text(en, zh), scope, Role.LEADER, (), steps, levels)


WRITE: Final = step("record", "Write the record", "填写故障记录", phase=RECOVERY, due=24 * 60 * MINUTE)
OUTAGE: Final = procedure(
    "outage", "Power outage", "断电", Scope.SITE,
    step("notify", "Tell O&M specialist and manager what is out", "通知系统运维专员和中心经理：停电范围和性质",
         due=120),
    step("hall-cooling-off", "Switch off the hall's air conditioning", "关闭大厅空调，节约 UPS 电量",
         ticked=Ticked.EITHER, due=180),
    step("appliances-off", "Switch off what is not needed", "关闭非必要电器（冰箱、微波炉）", due=300),
    step("ups-carries", "UPS carries the load", "UPS 带载，业务不中断", Role.SYSTEM, ticked=Ticked.READING, due=10),
    step("generator-carries", "Diesel generator carries the load", "柴油发电机启动并带载", Role.SYSTEM,
         ticked=Ticked.READING, opens=420, due=600),
    step("back-on-mains", "Load back on mains, generator in auto, cooling on", "恢复市电供电，发电机复归自动，空调恢复",
         Role.OM,
         phase=RECOVERY, due=1800),
    WRITE,
)  # fmt: skip
COOLING: Final = procedure(
    "air-conditioning", "Air conditioning fault", "空调故障", Scope.AREA,
    step("notify", "Tell supervisor and manager", "报告呼叫中心主管和经理", due=120),
    step("fans", "Put out fans", "摆放风扇通风备用", due=900),
    step("maintenance", "Call maintenance", "联系维修", due=900),
    step("watch", "Room back under its limit", "室温恢复到限值以下", Role.SYSTEM, ticked=Ticked.READING),
    WRITE,
)  # fmt: skip
SEAT: Final = procedure(
    "equipment-fault", "Seat equipment fault", "座席设备故障", Scope.SEAT,
    step("tell-leader", "Tell the shift leader", "报告值班班组长", Role.AGENT, due=60),
    step("spare-seat", "Move the agent to a spare seat", "安排客户服务代表换到备用座席", due=300),
    step("repair", "Repair or swap the equipment", "维修或更换设备", Role.OM, ticked=Ticked.EITHER),
    WRITE,
)  # fmt: skip
SYSTEM: Final = procedure(
    "system-fault", "System fault", "应用程序/网络/ACD 系统故障", Scope.SITE,
    step("report", "Report to the supervisor", "5 分钟内报告呼叫中心主管", due=300),
    step("paper", "Answer from paper documents, nobody logs off", "使用纸质资料应答，未经允许不得签退", due=600),
    step("staff", "Re-assign staff by the surge plan", "按话务高峰预案调配人员", Role.MANAGER, due=900),
    step("form", "Fill in the system-fault form", "填写系统故障情况处理表", phase=RECOVERY, due=3600),
    levels=(
        FaultLevel(1, Text("Level 1", "一级"), 1800), FaultLevel(3, Text("Level 3", "三级"), 900),
    ),
)  # fmt: skip
NETWORK: Final = procedure(
    "network-emergency", "Network emergency", "紧急网络故障和信息系统失灵", Scope.SITE,
    step("tell-om", "Tell the O&M specialist what cannot be reached", "通知系统运维专员：无法访问的系统", due=60),
    step("hand-over", "Hand over to the responsible department", "转交责任部门", Role.OM, due=900),
    step("follow", "Follow it up", "跟进处理结果", Role.OM),
    WRITE,
)  # fmt: skip
SECURITY: Final = procedure(
    "security", "Security", "安全防护", Scope.AREA,
    step("evacuate", "Evacuate; nobody goes back", "组织疏散，不得返回取物", due=60),
    step("report-up", "Report upward once safe", "人员安全后立即上报", Role.SUPERVISOR, due=600),
    WRITE,
)  # fmt: skip
PROCEDURES: Final = (OUTAGE, COOLING, SEAT, SYSTEM, NETWORK, SECURITY)


class Journal:
    """A journal that grows line by line; seconds count from BASE."""

    def __init__(self) -> None:
        self.lines: list[Entry] = []

    def put(self, kind: str, at: float, body: Mapping[str, Any]) -> None:
        """Add a line as it comes back from the disk."""
        stored = orjson.loads(orjson.dumps(body))
        self.lines.append(Entry(kind, BASE + at, stored, len(self.lines) + 1))

    def alarm(self, at: float, verb: str, id: str, text: Text = FAULT, severity: str = "major", **more: object) -> None:
        """Add what happened to an alarm, as the agent writes it."""
        self.put("alarm", at, {
            "verb": verb, "alarm_id": id, "severity": severity, "state": "unack", "raise_count": 1, "by": "system",
            "reason": "", "text": {"en": text.en, "zh": text.zh}, **more,
        })  # fmt: skip

    def run(self, procedure: Procedure, run_id: str = "", **more: Any) -> Story:  # noqa: ANN401 - fields of Run
        return Story(self, procedure, run_id or f"{procedure.id}-1", **more)


class Story:
    """One run, told change by change into a journal."""

    def __init__(
        self, journal: Journal, procedure: Procedure, run_id: str, *, onset: float = 0.0, started: float = 3.0,
        summary: Text = FAULT, scope: str = "hq", name: Text = CENTRE,
        **more: Any,  # noqa: ANN401 - fields of Run
    ) -> None:  # fmt: skip
        self.journal, self.procedure = journal, procedure
        steps = tuple(self._step(each, onset, started) for each in procedure.steps)
        self.is_now = Run(
            run_id, procedure.id, procedure.version, scope, name, procedure.text, summary, RunState.OPEN,
            Phase.RESPONSE, BASE + onset, BASE + started, steps, **more,
        )  # fmt: skip
        self.tell(started, RunVerb.OPENED, summary, roles=("om", "manager"))

    @staticmethod
    def _step(each: Step, start: float, now: float) -> StepRun:
        if each.phase is RECOVERY:
            return StepRun(each.id)
        opens = None if each.opens is None else BASE + start + each.opens
        due = None if each.due is None else BASE + start + each.due
        return StepRun(each.id, StepState.READY, BASE + now, opens, due)

    def tell(self, at: float, verb: RunVerb, text: Text | None = None, **more: Any) -> Story:  # noqa: ANN401
        said = text or Text(str(verb), str(verb))
        change = RunChange(verb, self.is_now, BASE + at, said, **more)
        self.journal.put("run", at, journal_of(change, self.procedure))
        return self

    def set(self, **facts: Any) -> Story:  # noqa: ANN401 - fields of Run
        self.is_now = replace(self.is_now, **facts)
        return self

    def _set_step(self, id: str, change: Callable[[StepRun], StepRun]) -> None:
        self.is_now = replace(
            self.is_now, steps=tuple(change(each) if each.id == id else each for each in self.is_now.steps)
        )

    def done(
        self, at: float, step: str, by: str = "Lin Yue", note: str = "", evidence: Iterable[Evidence] = ()
    ) -> Story:
        self._set_step(
            step,
            lambda each: replace(each, state=StepState.DONE, at=BASE + at, by=by, note=note, evidence=tuple(evidence)),
        )
        words = next(each.text for each in self.procedure.steps if each.id == step)
        return self.tell(
            at, RunVerb.STEP_DONE, Text(f"Done: {words.en}", f"已完成：{words.zh}"), by=by, step=step, reason=note
        )

    def skipped(self, at: float, step: str, reason: str, by: str = "Lin Yue") -> Story:
        self._set_step(step, lambda each: replace(each, state=StepState.SKIPPED, at=BASE + at, by=by, note=reason))
        return self.tell(at, RunVerb.STEP_SKIPPED, Text("Skipped", "已跳过"), by=by, step=step, reason=reason)

    def overdue(self, at: float, step: str) -> Story:
        self._set_step(step, lambda each: replace(each, overdue=True))
        return self.tell(at, RunVerb.STEP_OVERDUE, Text("Overdue", "已超时"), step=step)

    def reminded(self, at: float, step: str) -> Story:
        self._set_step(step, lambda each: replace(each, reminded=each.reminded + 1))
        return self.tell(at, RunVerb.REMINDED, Text("Reminder", "提醒：请尽快处理"), step=step, roles=("leader",))

    def escalated(self, at: float, step: str, role: str = "manager") -> Story:
        self._set_step(step, lambda each: replace(each, escalated=each.escalated + 1))
        return self.tell(
            at, RunVerb.ESCALATED, Text("Not done in time", "未按时完成，请介入"), step=step, roles=(role,)
        )

    def acked(self, at: float, by: str = "Lin Yue") -> Story:
        self.set(acked=BASE + at, acked_by=by)
        return self.tell(at, RunVerb.ACKNOWLEDGED, Text(f"{by} has it", f"{by} 已受理"), by=by)

    def noted(self, at: float, text: str, by: str = "Lin Yue") -> Story:
        return self.set(notes=self.is_now.notes + 1).tell(at, RunVerb.NOTED, Text(text, text), by=by, reason=text)

    def filled(self, at: float, by: str = "Lin Yue", **form: str) -> Story:
        fields = {name.replace("_", "-"): text for name, text in form.items()}
        self.set(form={**self.is_now.form, **fields})
        return self.tell(at, RunVerb.FORM_CHANGED, Text("Record filled in", "已填写记录"), by=by)

    def recovering(self, at: float) -> Story:
        self.set(recovered=BASE + at, state=RunState.RECOVERING, phase=RECOVERY, standing=())
        due = {each.id: each.due for each in self.procedure.steps if each.phase is RECOVERY}
        for id, limit in due.items():
            until = None if limit is None else BASE + at + limit
            self._set_step(id, partial(replace, state=StepState.READY, ready=BASE + at, due=until))
        return self.tell(at, RunVerb.RECOVERING, Text("The fault is over", "故障已恢复"))

    def closed(self, at: float, by: str = "Lin Yue") -> Story:
        return self.set(ended=BASE + at, state=RunState.CLOSED).tell(
            at, RunVerb.CLOSED, Text("Closed", "已结束"), by=by
        )


def outage(journal: Journal, *, until: float = 1e9) -> Story:
    """Tell an outage of a morning: mains lost, the generator at 8:10, an appliance forgotten, mains back at 2 h 20."""
    ups = ("ups-a.on-battery", "ups-b.on-battery")
    seats = tuple(f"seat-{number:03}" for number in range(1, 61))
    lost = both(
        "Mains lost: two UPSes on battery, the generator senses no mains",
        "市电断电：两台 UPS 转为电池供电，发电机检测市电失电",
    )
    journal.alarm(2, "raised", "mains.lost", both("Mains lost", "市电断电"), "critical")
    journal.alarm(3, "raised", ups[0], both("UPS A on battery", "UPS A 已转为电池供电"), "critical")
    journal.alarm(4, "raised", ups[1], both("UPS B on battery", "UPS B 已转为电池供电"), "critical")
    story = journal.run(
        OUTAGE, "outage-20261125-0830", summary=lost, alarms=("mains.lost", *ups), standing=("mains.lost", *ups),
        affected=("ups-a", "ups-b", "crac-1", "crac-2", *seats),
    )  # fmt: skip
    tells: list[tuple[float, Callable[[float], object]]] = [
        (9, lambda at: story.done(at, "ups-carries", "system", evidence=(
            Evidence("ups-a", "source", "battery"), Evidence("ups-b", "source", "battery"),
            Evidence("ups-a", "output.voltage", 229.6, "V"),
        ))),
        (41, lambda at: journal.alarm(at, "acknowledged", "mains.lost", both("Mains lost", "市电断电"), "critical",
                                      by="Lin Yue", announced=BASE + 2.4)),
        (45, lambda at: story.acked(at, "林玥")),
        (75, lambda at: story.done(at, "notify", "林玥", "已电话通知王工和陈经理")),
        (150, lambda at: story.done(at, "hall-cooling-off", "system", evidence=(
            Evidence("crac-1", "running", False),
        ))),
        (300, lambda at: story.overdue(at, "appliances-off")),
        (300, lambda at: story.reminded(at, "appliances-off")),
        (360, lambda at: story.reminded(at, "appliances-off")),
        (420, lambda at: story.escalated(at, "appliances-off", "supervisor")),
        (445, lambda at: story.done(at, "appliances-off", "赵强", "茶水间冰箱、微波炉已断电")),
        (490, lambda at: story.done(at, "generator-carries", "system", evidence=(
            Evidence("genset", "state", "running"), Evidence("genset", "output.voltage", 231.0, "V"),
            Evidence("genset", "output.power", 48_200.0, "W"),
        ))),
        (492, lambda at: journal.alarm(at, "cleared", ups[0], severity="critical")),
        (492, lambda at: journal.alarm(at, "cleared", ups[1], severity="critical")),
        (1500, lambda at: story.noted(at, "供电局答复：区域电缆故障，预计 11 点前恢复", "王工")),
        (8400, lambda at: journal.alarm(at, "cleared", "mains.lost", severity="critical")),
        (8430, story.recovering),
        (8900, lambda at: story.done(at, "back-on-mains", "王工")),
        (9300, lambda at: story.filled(
            at, "林玥", nature="外部供电中断", cause="区域 10 kV 电缆被施工挖断", responsible="供电局 / 王工",
            follow_up="向供电局索取事故报告；检查电池容量", prevention="冰箱插座改接非 UPS 回路")),
        (9400, lambda at: story.done(at, "record", "林玥")),
        (9405, lambda at: story.closed(at, "林玥")),
    ]  # fmt: skip
    for at, tell in tells:
        if at <= until:
            tell(at)
    return story


def cooling(journal: Journal) -> Story:
    """Tell how a cooling unit trips and the room warms; nobody put out fans because there were none to put out."""
    warm = both("Server room 29.4 °C, limit 27 °C", "机房温度 29.4 °C，限值 27 °C")
    journal.alarm(0, "raised", "crac-1.fault", both("Air conditioner 1 tripped", "1 号空调故障停机"))
    journal.alarm(400, "raised", "server-room.temperature-high", warm, "minor")
    story = journal.run(
        COOLING, scope="server-room", name=both("Server room", "机房"), alarms=("crac-1.fault",),
        summary=both("Air conditioner 1 tripped in the server room", "机房 1 号空调故障停机"), affected=("crac-1",),
    )  # fmt: skip
    story.done(90, "notify").set(alarms=("crac-1.fault", "server-room.temperature-high"))
    story.tell(401, RunVerb.ALARM_JOINED, warm).skipped(500, "fans", "仓库无备用风扇").done(800, "maintenance")
    journal.alarm(3000, "cleared", "crac-1.fault")
    journal.alarm(4200, "cleared", "server-room.temperature-high")
    proof = Evidence("climate-1", "temperature", 25.6, "Cel")
    return story.done(4210, "watch", "system", evidence=(proof,)).recovering(4230).done(5000, "record").closed(5001)


def seat(journal: Journal, number: int = 17, at: float = 0.0, *, over: bool = True) -> Story:
    """Tell how a headset fails, and its agent moves to a spare seat."""
    id, name = f"seat-{number:03}", both(f"Seat {number}", f"{number} 号座席")
    alarm = f"headset-{number:03}.absent"
    journal.alarm(at + 8, "raised", alarm, both("Headset not there", "耳机未连接"), "minor")
    story = journal.run(
        SEAT, f"equipment-fault-{number}", onset=at, started=at + 9, scope=id, name=name, alarms=(alarm,),
        affected=(id,), spare="seat-060",
        summary=both(f"Headset of seat {number} failed", f"{number} 号座席耳机故障"),
    ).done(at + 50, "tell-leader", "座席员 李敏").done(at + 140, "spare-seat", note="换到 60 号座席")  # fmt: skip
    if over:
        journal.alarm(at + 2700, "cleared", alarm, severity="minor")
        story.done(at + 2701, "repair", "王工", "更换耳机").recovering(at + 2730).done(at + 2800, "record").closed(
            at + 2801
        )
    return story


def system_fault(journal: Journal) -> Story:
    """Tell how all seats lose the softphone: level 1, restored too late, so the department head hears of it."""
    gone = both("Softphone gone at 60 seats", "60 个座席软电话离线")
    journal.alarm(12, "raised", "hall.group.softphone", gone, "critical")
    story = journal.run(
        SYSTEM, started=12, scope="hall", name=both("Agents' hall", "座席大厅"), level=1, restore_by=BASE + 1800,
        alarms=("hall.group.softphone",), affected=tuple(f"seat-{number:03}" for number in range(1, 61)),
        summary=both("ACD cannot be reached from 60 seats", "60 个座席无法连接 ACD"),
    ).acked(30).done(200, "report").done(420, "paper").done(1000, "staff", "陈经理")  # fmt: skip
    late, later = both("Not restored in 30 min", "30 分钟内未恢复"), both("Not restored in 1 h", "1 小时内未恢复")
    story.set(escalated=1).tell(1800, RunVerb.ESCALATED, late, roles=("manager",))
    story.set(escalated=2).tell(3600, RunVerb.ESCALATED, later, roles=("department",))
    journal.alarm(4000, "cleared", "hall.group.softphone", severity="critical")
    return story.recovering(4030).done(4500, "form").closed(4501)


def network(journal: Journal) -> Story:
    """Tell how the CRM cannot be reached."""
    journal.alarm(30, "raised", "crm.unreachable", both("CRM cannot be reached", "CRM 无法访问"), "critical")
    story = journal.run(
        NETWORK, started=30, alarms=("crm.unreachable",), summary=both("CRM cannot be reached", "CRM 无法访问")
    )
    story.done(70, "tell-om").done(600, "hand-over", "王工")
    journal.alarm(1800, "cleared", "crm.unreachable", severity="critical")
    return story.done(1810, "follow", "王工").recovering(1830).done(1900, "record").closed(1901)


def security(journal: Journal) -> Story:
    """Tell of smoke in the server room."""
    journal.alarm(1, "raised", "contacts.smoke", both("Smoke in the server room", "机房烟感报警"), "critical")
    story = journal.run(
        SECURITY, started=1, scope="server-room", name=both("Server room", "机房"), alarms=("contacts.smoke",),
        summary=both("Smoke in the server room", "机房烟感报警"),
    )  # fmt: skip
    story.done(40, "evacuate").done(300, "report-up", "周主管")
    journal.alarm(900, "cleared", "contacts.smoke", severity="critical")
    return story.recovering(930).done(1000, "record").closed(1001)


STORIES: Final[Mapping[str, Callable[[Journal], Story]]] = {
    "outage": outage, "air-conditioning": cooling, "equipment-fault": seat, "system-fault": system_fault,
    "network-emergency": network, "security": security,
}  # fmt: skip
