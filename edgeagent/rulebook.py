"""Which alarms can exist and which points they look at. Resources with the same alarm types share one index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from edgeagent.alarm import Rule


class Rulebook:
    """All rules by resource.

    Raises:
        ValueError: two rules with one id.
    """

    def __init__(self, rules: Iterable[Rule], own: Rule) -> None:
        by_resource: dict[str, list[Rule]] = {}
        for rule in rules:
            by_resource.setdefault(rule.resource, []).append(rule)
        self._own = own
        self._rules = {resource: tuple(theirs) for resource, theirs in by_resource.items()}
        self._plans: dict[str, Mapping[str, tuple[int, ...]]] = {}
        points: dict[int, frozenset[str]] = {}
        plans: dict[tuple[int, ...], Mapping[str, tuple[int, ...]]] = {}
        for resource, theirs in self._rules.items():
            ids = {rule.id for rule in theirs}
            if len(ids) < len(theirs) or own.id in ids:
                raise ValueError(f"two alarm rules of {resource} have one id")
            key = tuple(id(rule.type) for rule in theirs)
            if key not in plans:
                points |= {id(rule.type): _looks_at(rule) for rule in theirs if id(rule.type) not in points}
                plans[key] = _plan([points[type_id] for type_id in key])
            self._plans[resource] = plans[key]

    def add(self, rule: Rule) -> None:
        """Take a rule in that comes up while others run."""
        self._change(rule.resource, (*self._rules.get(rule.resource, ()), rule))

    def remove(self, rule: Rule) -> None:
        """Drop a rule."""
        self._change(rule.resource, tuple(other for other in self._rules.get(rule.resource, ()) if other is not rule))

    def _change(self, resource: str, rules: tuple[Rule, ...]) -> None:
        self._rules[resource] = rules
        self._plans[resource] = _plan([_looks_at(rule) for rule in rules])

    def naming(self, resource: str, point: str) -> Iterator[Rule]:
        """Give the rules of a resource that look at a point."""
        plan = self._plans.get(resource)
        if plan is not None:
            rules = self._rules[resource]
            for index in plan.get(point, ()):
                yield rules[index]

    def find(self, alarm_id: str, member: str = "") -> Rule | None:
        """Find the rule an alarm id comes from; for a member of a set the one with `each`."""
        if alarm_id == self._own.id:
            return self._own
        parts = alarm_id.split(".")
        for count in range(1, len(parts)):
            for rule in self._rules.get(".".join(parts[:count]), ()):
                if not member and rule.id == alarm_id:
                    return rule
                if member and rule.type.each and rule.own(member) and rule.member(member).id == alarm_id:
                    return rule
        return None

    def news(self, before: Rulebook) -> Iterator[Rule]:
        """Give the rules that are new or judge otherwise than before."""
        same: dict[tuple[int, int], bool] = {}  # comparing types deeply once a pair, not once a device
        for resource, theirs in self._rules.items():
            had = {rule.id: rule for rule in before._rules.get(resource, ())}
            for rule in theirs:
                old = had.get(rule.id)
                if old is None or old.known != rule.known:
                    yield rule
                    continue
                key = (id(old.type), id(rule.type))
                if key not in same:
                    same[key] = old.type == rule.type
                if not same[key]:
                    yield rule


def _looks_at(rule: Rule) -> frozenset[str]:
    return rule.points | {rule.type.shows} if rule.type.shows else rule.points


def _plan(points: list[frozenset[str]]) -> Mapping[str, tuple[int, ...]]:
    plan: dict[str, tuple[int, ...]] = {}
    for index, named in enumerate(points):
        for point in named:
            plan[point] = (*plan.get(point, ()), index)
    return plan
