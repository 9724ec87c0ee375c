"""Makes a scenario of what really happened: the journal of one run, told again as injects and expectations. Pure.

    an alarm's raise, less its on-delay   →  its device says what makes it come     at 0:10 ups-a source = battery
    its clear, less its off-delay         →  it says what it says when it is well   at 8:05 ups-a source = normal
    readings that proved a step           →  they are shown at that moment          at 8:00 genset on-load = true
    the run, its steps                    →  expected by the procedure's targets    by 2:10 step outage/tell

What nobody polls is shown by those that are: a lost mains by its witnesses, a fault of many by its members. What cannot
be made stands in the file as a comment. Alarms and devices are named in it, people are not. How an alarm is made to
come is found by `showing.py`. Moments are s from the start; the fault begins at BEGIN.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from math import ceil
from typing import Final

from edgeagent import faultrecord, showing
from edgeagent.alarm import Rule
from edgeagent.alarmhistory import AlarmLine, Line, alarm_lines
from edgeagent.catalog import Text
from edgeagent.config import Site
from edgeagent.devices import BACK_OFF_CAP, MISSES
from edgeagent.faultrecord import FaultRecord, StepLine
from edgeagent.inventory import rules_of
from edgeagent.procedure import GROUP, Phase, Ticked
from edgeagent.readings import Value
from edgeagent.run import RunState, RunVerb, StepState
from edgeagent.scenario import LONGEST
from edgeagent.sitetree import MAINS, SEAT
from edgeagent.witnesses import GENERATOR, SWITCH, UPS
from edgeagent.wording import SYSTEM

BEGIN: Final = 10.0
"""s after the start of the drill at which the fault begins."""
_ACK: Final = 120.0
"""s in which somebody should have taken it on: at once, in the rules."""
_SLACK: Final = 15.0
"""s more than it took that an alarm or the run may take: polls lie otherwise each time."""
_BACK_SLACK: Final = _SLACK + BACK_OFF_CAP
"""s more that its end may take: a device that was silent is asked now and then only."""
_POLLS: Final = 3.0
"""s in which all of the power supply is asked."""
_SHORTEST, _LAST = 300.0, 60.0
_LONGEST_ID: Final = 26
_WITNESSES: Final = ("on-battery", "mains-lost")
"""Alarm types of those that see the supply gone."""
_LOST: Final = ("mains-lost", "circuit-lost", "supply-lost")
_BACK: Final = ("answers",)
"""What means only a device of which something is shown before."""
_FOLLOWS: Final = frozenset({"generator-late"})
"""Alarms that come by themselves, of what is shown anyhow."""
_READY: Final = (
    (GENERATOR, "state = running"), (GENERATOR, "running = true"), (GENERATOR, "speed = 1500"),
    (GENERATOR, "output.voltage = 230"), (GENERATOR, "output.frequency = 50"), (SWITCH, "source.generator = available"),
)  # fmt: skip
_PHASES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "running": _READY,
    "carrying": (
        *_READY, (GENERATOR, "on-load = true"), (GENERATOR, "output.power = 42000"), (SWITCH, "position = generator"),
    ),
    "idle": (
        (GENERATOR, "on-load = false"), (GENERATOR, "output.power = 0"), (SWITCH, "position = mains"),
        (GENERATOR, "state = stopped"), (GENERATOR, "running = false"), (GENERATOR, "speed = 0"),
        (GENERATOR, "output.voltage = 0"), (GENERATOR, "output.frequency = 0"), (SWITCH, "source.generator = lost"),
    ),
    "failed-to-start": ((GENERATOR, "alarms + fail-to-start"), (GENERATOR, "alarms + common-shutdown")),
    "reset": ((GENERATOR, "alarms - fail-to-start"), (GENERATOR, "alarms - common-shutdown")),
}  # fmt: skip
"""What generators and transfer switches say in each phase of the standby, as far as each can."""

_AT_A_SEAT: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "workstation-down": {
        "workstation": ("silent", "answers"), "headset": ("silent", "answers"),
        "presence": ("echo = false", "echo = true"), "port": ("link = down", "link = up"),
    },
    "phone-down": {"phone": ("registered = false", "registered = true")},
    "agent-down": {"workstation": ("silent", "answers"), "headset": ("silent", "answers")},
    "cloned": {"workstation": ("agent = cloned", "agent = running")},
}  # fmt: skip
"""What the parts of a watched seat show when it has an alarm, and when that is over."""


class IncidentError(ValueError):
    """A run of which no scenario can be made; the message says why."""


def scenario_of(lines: Iterable[Line], run_id: str, site: Site, zone: tzinfo | None = None) -> str:
    """Return the TOML of a scenario that tells a real run again.

    `lines` are those of the journal on the run and its alarms; with all alarms of its time the devices that its cause
    explains are shown as they were. The date in its title is of `zone`, the host's own if None.

    Raises:
        IncidentError: when the run is not known, its procedure is none of the site's, or nothing of it can be shown.
    """
    lines = list(lines)
    record = faultrecord.of(lines, run_id, max((line.time for line in lines), default=0.0))
    if record is None:
        raise IncidentError(f"{run_id}: the journal knows no such run")
    if record.run.origin is not None:
        raise IncidentError(f"{run_id}: is a run of a drill, and no real one")
    if record.run.procedure not in site.procedures:
        raise IncidentError(f"{run_id}: the site has no procedure {record.run.procedure} any more")
    story = _Story(site, record, lines)
    story.tell()
    if not story.shown:
        raise IncidentError(f"{run_id}: no device of the site can be made to show anything of it")
    return _file(story, zone)


@dataclass(slots=True)
class _Shown:
    """A line of the timeline in the making."""

    at: float
    device: str
    what: str


@dataclass(slots=True)
class _Story:
    """What becomes of one record. `left` are the alarms that cannot be made to come."""

    site: Site
    record: FaultRecord
    lines: Sequence[Line]
    shown: list[_Shown] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    alarms: Mapping[str, AlarmLine] = field(default_factory=dict)

    def tell(self) -> None:
        """Find all that is to be shown."""
        self.rules = {rule.id: rule for rule in rules_of(self.site)}
        self.alarms = {line.alarm_id: line for line in (*self.record.alarms, *self._explained())}
        for line in self.alarms.values():
            if not self._made(line):
                self.left.append(line.alarm_id)
        for step in self.record.steps:
            self._prove(step)
        self.shown = list(self._news(sorted(self.shown, key=lambda each: each.at)))

    def moment(self, at: float) -> float:
        """Return the moment of the scenario, whole s, at which something was."""
        return float(max(BEGIN, round(at - self.record.run.onset + BEGIN)))

    def _hit(self) -> frozenset[str]:
        """Return the devices and seats that the fault hit, the devices at these seats among them."""
        hit, nodes = self.record.run.affected, self.site.tree.nodes
        parts = (part for id in hit for part in self.site.tree.parts(id))
        return frozenset(id for id in (*hit, *parts) if id in nodes and (nodes[id].device or nodes[id].kind == SEAT))

    def _explained(self) -> Iterator[AlarmLine]:
        own, hit = {line.alarm_id for line in self.record.alarms}, self._hit()
        end = self.record.run.ended if self.record.run.ended is not None else self.record.as_of
        others = (line for line in self.lines if line.kind == "alarm" and line.time >= self.record.run.onset - _LAST)
        for line in alarm_lines(others, None, end):
            if line.resource in hit and line.alarm_id not in own and line.spans[0].start is not None:
                yield line

    def _made(self, line: AlarmLine) -> bool:
        """Put what makes an alarm come and go on the timeline; tell whether there is anything."""
        resource, type, *_ = line.alarm_id.split(".")
        node = self.site.tree.nodes.get(resource)
        if resource in self.site.devices or (node is not None and node.kind == SEAT):
            return self._device(line, line.alarm_id)
        if type == GROUP:
            qualifier = line.alarm_id.split(".", 2)[-1]
            return self._members(line, (qualifier,), self._hit())
        if node is None or node.kind != MAINS or type in _FOLLOWS:
            return type in _FOLLOWS
        if type in _LOST:
            hit = self._hit() or (frozenset(self.site.devices) if type == "mains-lost" else frozenset())
            return self._members(line, _WITNESSES, hit)
        return self._standby(line, type)

    def _device(self, line: AlarmLine, id: str) -> bool:
        rule = self.rules.get(id)
        if rule is not None and rule.resource not in self.site.devices:
            return self._seat(line, rule)
        found = None if rule is None else showing.shown(self.site, rule.resource, rule.type, line.severity)
        if rule is None or found is None:
            return False
        level = showing.level_of(rule.type, line.severity)
        delay = 0.0 if level is None else level.on_delay
        off_delay = rule.type.off_delay
        least = delay
        if found.begin == ("silent",):  # nobody knows when it answered again: as long as its alarm stood
            delay += MISSES * self.site.devices[rule.resource].fast
            off_delay, least = off_delay + delay, delay + _SLACK
        for span in line.spans:
            start = self.record.run.onset if span.start is None else span.start - delay
            # What is explained waits for its cause to speak: it began with it.
            early = start - self.record.run.onset <= self.site.causes.hold + _SLACK
            self._show(BEGIN if early else self.moment(start), rule.resource, found.begin)
            if span.end is not None:
                end = self._ended(line, span.end, off_delay)
                self._show(self.moment(max(end, start + least)), rule.resource, found.end)
        return True

    def _seat(self, line: AlarmLine, rule: Rule) -> bool:
        """Show an alarm of a seat by what its parts say: each as it was seen, at one moment."""
        says = _AT_A_SEAT.get(rule.type.id, {})
        delay, made = rule.type.levels[-1].on_delay, len(self.shown)
        for part in self.site.tree.parts(rule.resource):
            device = self.site.devices.get(part)
            if device is None or device.driver.kind.id not in says:
                continue
            begin, end = says[device.driver.kind.id]
            if begin == "silent" and device.endpoint.scheme != SEAT:
                continue
            for span in line.spans:
                start = self.record.run.onset if span.start is None else span.start - delay - device.interval
                early = start - self.record.run.onset <= self.site.causes.hold + _SLACK
                self._show(BEGIN if early else self.moment(start), part, (begin,))
                if span.end is not None:
                    over = self._ended(line, span.end, rule.type.off_delay)
                    self._show(self.moment(max(over, start)), part, (end,))
        return len(self.shown) > made

    def _ended(self, line: AlarmLine, at: float, off_delay: float) -> float:
        """Return when what an alarm told was over. What is explained settles first, and ended with its cause."""
        causes = () if line in self.record.alarms else self.record.alarms
        for cause in causes:
            over, rule = cause.spans[-1].end, self.rules.get(cause.alarm_id)
            if over is not None and over <= at <= over + self.site.causes.settle + off_delay + _BACK_SLACK:
                return over - (off_delay if rule is None else rule.type.off_delay)
        return at - off_delay

    def _members(self, line: AlarmLine, types: Sequence[str], devices: Iterable[str]) -> bool:
        """Show an alarm that nobody is polled for by those that have it, as far as they do not tell it themselves."""
        made = False
        for id in (f"{device}.{type}" for device in sorted(devices) for type in types):
            made = id in self.alarms or (id in self.rules and self._device(line, id)) or made
        return made

    def _standby(self, line: AlarmLine, type: str) -> bool:
        """Show an alarm of what the generator makes of an outage."""
        phases = {
            "generator-failed-to-start": ("failed-to-start", "reset", 0.0),
            "generator-failed-to-transfer": ("running", "", self.site.causes.transfer),
        }
        if type not in phases:
            return False
        begin, end, delay = phases[type]
        for span in line.spans:
            self._phase(begin, self.moment((span.start or self.record.run.onset) - delay))
            if span.end is not None and end:
                self._phase(end, self.moment(span.end))
        return any(each.what in dict.fromkeys(what for _, what in _PHASES[begin]) for each in self.shown)

    def _phase(self, phase: str, at: float) -> None:
        for id, device in self.site.devices.items():
            for kind, what in _PHASES[phase]:
                if device.driver.kind.id == kind and showing.can(self.site, id, what):
                    self.shown.append(_Shown(at, id, what))

    def _prove(self, step: StepLine) -> None:
        """Show the readings of the power supply that proved a step; what else proved one people will do again."""
        if step.run.at is None or step.run.by != SYSTEM:
            return
        at = self.moment(step.run.at)
        for each in step.run.evidence:
            device = self.site.devices.get(each.resource)
            if each.resource == self.site.tree.mains and each.point == "generator":
                if str(each.value) in _PHASES:
                    self._phase(str(each.value), min((at, *self._lit(at))))
            elif device is not None and device.driver.kind.power and isinstance(each.value, (bool, int, float, str)):
                self._show(at, each.resource, (f"{each.point} = {showing.spelled(each.value)}",))

    def _lit(self, at: float) -> Iterator[float]:
        """Give when UPSes came back to their inputs shortly before a moment: what feeds them was there by then."""
        for each in self.shown:
            back = each.what.startswith("source = ") and not each.what.endswith("= battery")
            if back and at - _LAST <= each.at <= at and self.site.devices[each.device].driver.kind.id == UPS:
                yield each.at - _POLLS

    def _show(self, at: float, device: str, whats: Iterable[str]) -> None:
        says = (what for what in whats if what in _BACK or showing.can(self.site, device, what))
        self.shown += (_Shown(at, device, what) for what in says)

    def _news(self, shown: Iterable[_Shown]) -> Iterator[_Shown]:
        """Leave out what says again what its point shows already, or what it says when all is well."""
        last: dict[tuple[str, str], str] = {}
        for each in shown:
            point, sign, value = (*each.what.split(" ", 2), "", "")[:3]
            key = (each.device, f"{point} {value}" if sign in ("+", "-") else point)
            well = showing.well(self.site.devices[each.device].driver).get(point)
            before = last.get(key, f"{point} - {value}" if sign in ("+", "-") else f"{point} = {_spelled(well)}")
            if each.what != before:
                last[key] = each.what
                yield each

    # -- what is expected -------------------------------------------------------------------------------------

    def expects(self) -> Iterator[tuple[float, str]]:
        """Give what must come, each with the moment by which it must."""
        run = self.record.run
        for line in self.record.alarms:
            start, end = line.spans[0].start, line.spans[-1].end
            if line.alarm_id in self.left or start is None:
                continue
            yield self.moment(start) + _SLACK, f"alarm {line.alarm_id}"
            if end is not None:
                yield self.moment(end) + _BACK_SLACK, f"cleared {line.alarm_id}"
        yield self.moment(run.started) + _SLACK, f"run {run.procedure}"
        yield BEGIN + _ACK, f"ack {run.procedure}"
        known = {step.id for step in self.site.procedures[run.procedure].steps}
        last = BEGIN
        for step in self.record.steps:
            if step.run.state is not StepState.DONE or step.run.at is None or step.words.id not in known:
                continue
            last = max(last, self._target(step))
            yield self._target(step), f"step {run.procedure}/{step.words.id}"
        over = [self.moment(each.at) + _BACK_SLACK for each in self.record.story if each.verb is RunVerb.RECOVERING]
        if over:
            yield over[-1], f"recovered {run.procedure}"
            last = max(last, over[-1])
        if run.state is RunState.CLOSED:
            yield last + _LAST, f"closed {run.procedure}"

    def _target(self, step: StepLine) -> float:
        """Return by when a step is to be done: by the procedure's target, or as it was done where it has none.

        What readings alone can tick comes no sooner than they do, and what lapses with the fault before its end.
        """
        took = self.moment(step.run.at or self.record.run.onset) + 2 * _SLACK
        if step.start is None or step.words.due is None:
            return took
        due = self.moment(step.start) + step.words.due
        if step.words.ticked is Ticked.READING:
            return max(due, took)
        over = self.record.run.recovered
        late = step.words.phase is Phase.RESPONSE and over is not None and due > self.moment(over)
        return min(took, self.moment(over or 0.0)) if late else due


# The file.


def _file(story: _Story, zone: tzinfo | None) -> str:
    run = story.record.run
    date = datetime.fromtimestamp(run.onset, UTC).astimezone(zone).strftime("%Y-%m-%d")
    text = Text(f"{run.text.en}, as on {date}", f"{run.text.zh}（{date} 实况）")
    purpose = Text(
        f"What happened on {date} happens again: is it handled better this time?",
        f"重演 {date} 的真实故障，检验处置是否改进",
    )
    injects = [each for each in story.shown if each.at <= LONGEST]
    expects = sorted({(min(float(ceil(by)), LONGEST), what) for by, what in story.expects()})
    ends = max((*(by for by, _ in expects), *(each.at for each in injects)))
    duration = min(max(ends + _LAST, _SHORTEST), LONGEST)
    heads = [f"# Made of the run {run.run_id}: what the journal has of it, with the moments as they were."]
    if run.opened_by == SYSTEM:
        heads.append(f"# {run.summary.en} / {run.summary.zh}")
    heads += [f"# Its alarms: {', '.join(sorted(line.alarm_id for line in story.record.alarms)) or 'none'}."]
    heads += [f"# Cannot be made to come here: {id}." for id in sorted(story.left)]
    if len(injects) < len(story.shown):
        heads.append("# What came later than four hours is left out: no drill lasts longer.")
    return "\n".join([
        *heads, "",
        f"scenario = {_quoted(_id(run.procedure, date))}",
        "version = 1",
        f"text = {_both(text)}",
        f"purpose = {_both(purpose)}",
        f"procedure = {_quoted(run.procedure)}",
        f'duration = "{ceil(duration)}s"',
        "timeline = [",
        *(f"  {_quoted(f'at {_moment(each.at)} {each.device} {each.what}')}," for each in injects),
        "]",
        "expect = [",
        *(f"  {_quoted(f'by {_moment(by)} {what}')}," for by, what in expects),
        "]", "",
    ])  # fmt: skip


def _spelled(value: Value | None) -> str:
    return "" if value is None else showing.spelled(value)


def _id(procedure: str, date: str) -> str:
    tail = "-" + date.replace("-", "")[2:]
    return procedure[: _LONGEST_ID - len(tail)].strip("-") + tail


def _moment(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _quoted(text: str) -> str:
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


def _both(text: Text) -> str:
    return f"{{ en = {_quoted(text.en)}, zh = {_quoted(text.zh)} }}"
