"""Which alarms can exist and which points they look at. Resources that are alike share one page; rules are made of it.

A site has many times more rules than alarms under way. So nothing is kept for a rule that nobody asks for: a page is
planned once for all that have the same alarms, and names each of its rules by a form without a resource.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from edgeagent.alarm import Rule, Ruled
from edgeagent.catalog import Text

Line: TypeAlias = tuple[str, Rule]
"""What follows the resource in the id of a rule, and its form: what it is but for resource and name."""
_UNNAMED: Final = Text("", "")


@dataclass(frozen=True, slots=True, eq=False)
class _Page:
    """The rules of all resources that are alike: forms by how their ids end, and lines by the point they look at."""

    forms: Mapping[str, Rule]
    plan: Mapping[str, tuple[Line, ...]]


class Rulebook:
    """All rules by resource. What is given as a rule stays one object, the others are made when they are asked for.

    Raises:
        ValueError: two rules with one id.
    """

    def __init__(self, rules: Iterable[Rule | Ruled], own: Rule) -> None:
        self._own = own
        self._pages: dict[str, tuple[Text, _Page]] = {}
        pages: dict[tuple[Rule, ...], _Page] = {}
        single: dict[str, list[Rule]] = {}
        for each in rules:
            if isinstance(each, Rule):
                single.setdefault(each.resource, []).append(each)
            elif each.resource in self._pages:
                single.setdefault(each.resource, []).extend(each.rules())
            else:
                if each.forms not in pages:
                    pages[each.forms] = _page(each.resource, each.forms)
                self._pages[each.resource] = (each.name, pages[each.forms])
        for resource, theirs in single.items():
            self._change(resource, (*self._forms(resource), *theirs))
        for resource, (_, page) in self._pages.items():
            if own.id.startswith(resource) and own.id[len(resource) :] in page.forms:
                raise ValueError(_twice(resource))

    def add(self, rule: Rule) -> None:
        """Take a rule in that comes up while others run; it takes the place of one with its id."""
        others = (form for form in self._forms(rule.resource) if form.ending != rule.ending)
        self._change(rule.resource, (*others, rule))

    def remove(self, rule: Rule) -> None:
        """Drop a rule that was taken in."""
        self._change(rule.resource, tuple(form for form in self._forms(rule.resource) if form is not rule))

    def _forms(self, resource: str) -> Iterable[Rule]:
        return self._pages[resource][1].forms.values() if resource in self._pages else ()

    def _change(self, resource: str, forms: tuple[Rule, ...]) -> None:
        name = self._pages[resource][0] if resource in self._pages else _UNNAMED
        self._pages[resource] = (name, _page(resource, forms))

    def naming(self, resource: str, point: str) -> Sequence[Line]:
        """Give the rules of a resource that look at a point, unmade: the id is the resource and what follows it."""
        page = self._pages.get(resource)
        return () if page is None else page[1].plan.get(point, ())

    def made(self, resource: str, form: Rule) -> Rule:
        """Make a rule of a resource from its form; what is a rule already stays what it is."""
        return form if form.resource else form.on(resource, self._pages[resource][0])

    def find(self, alarm_id: str, member: str = "") -> Rule | None:
        """Find the rule an alarm id comes from; for a member of a set the one with `each`."""
        if alarm_id == self._own.id:
            return self._own
        parts = alarm_id.split(".")
        for count in range(1, len(parts)):
            resource = ".".join(parts[:count])
            if resource not in self._pages:
                continue
            name, page = self._pages[resource]
            if not member:
                form = page.forms.get(alarm_id[len(resource) :])
                if form is not None:
                    return form.on(resource, name)
                continue
            for rule in (form.on(resource, name) for form in page.forms.values() if form.type.each):
                if rule.own(member) and rule.member(member).id == alarm_id:
                    return rule
        return None

    def news(self, before: Rulebook) -> Iterator[Rule]:
        """Give the rules that are new or judge otherwise than before."""
        found: dict[tuple[_Page | None, _Page], list[Rule]] = {}  # comparing once a pair, not once a device
        for resource, (name, page) in self._pages.items():
            key = (before._pages[resource][1] if resource in before._pages else None, page)
            if key not in found:
                found[key] = list(_news(*key))
            yield from (form.on(resource, name) for form in found[key])


def _page(resource: str, forms: tuple[Rule, ...]) -> _Page:
    """Write the page of all resources with these forms."""
    by_ending = {form.ending: form for form in forms}
    if len(by_ending) < len(forms):
        raise ValueError(_twice(resource))
    plan: dict[str, tuple[Line, ...]] = {}
    for line in by_ending.items():
        for point in _looks_at(line[1]):
            plan[point] = (*plan.get(point, ()), line)
    return _Page(by_ending, plan)


def _twice(resource: str) -> str:
    return f"two alarm rules of {resource} have one id"


def _news(before: _Page | None, page: _Page) -> Iterator[Rule]:
    for ending, form in page.forms.items():
        old = before.forms.get(ending) if before is not None else None
        if old is None or old.known != form.known or old.type != form.type:
            yield form


def _looks_at(rule: Rule) -> frozenset[str]:
    return rule.points | {rule.type.shows} if rule.type.shows else rule.points
