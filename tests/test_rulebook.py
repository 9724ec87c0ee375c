"""Rules that are made when they are asked for, against all rules made at once."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import pytest

from edgeagent.alarm import Rule
from edgeagent.config import Site
from edgeagent.flood import FLOOD
from edgeagent.floor import Floor, planned
from edgeagent.resources import drivers, examples
from edgeagent.rulebook import Rulebook
from edgeagent.sitefiles import load as load_site
from edgeagent.sitetree import MAINS, SEAT, CauseSettings
from tests.cornersite import corner
from tests.floor import AT_ONCE, NAME, VENDOR
from tests.hall import DRIVERS, Plan, hall
from tests.plainrules import PlainBook, facts, plain_rules
from tests.seatrow import rows


def every_kind(*, mains: bool = True) -> Plan:
    """Plan each kind four times: alone, alone again, below a UPS and a switch, and at a seat."""
    plan = Plan().add("feed", "ups").add("switch", "network")
    if mains:
        plan.add("grid", MAINS)
    for kind in DRIVERS:
        plan.add(kind, kind).add(f"{kind}-2", kind).add(f"{kind}-low", kind, fed=["feed"], linked=["switch"])
        plan.add(f"seat-{kind}", SEAT, fed=["feed"]).add(f"{kind}-part", kind, seat=f"seat-{kind}")
    return plan


SITES: dict[str, Callable[[], Site]] = {
    "the examples": lambda: load_site(examples(), drivers()),
    "every kind": lambda: every_kind().site(),
    "every kind without mains": lambda: every_kind(mains=False).site(),
    "every kind and a longer hold": lambda: every_kind().site(CauseSettings(hold=77)),
    "a hall": lambda: hall().site(),
    "watched seats": lambda: rows(3, phone=True, headset=True),
    "a corner": corner,
}
some_site = pytest.mark.parametrize("site", [pytest.param(make(), id=name) for name, make in SITES.items()])


def book(site: Site) -> Rulebook:
    return Rulebook(planned(site), FLOOD)


def spread(made: list[Rule]) -> list[list[object]]:
    return [facts(rule) for rule in made]


@some_site
def test_rules_are_those_that_each_resource_has_on_its_own(site: Site) -> None:
    plain = list(plain_rules(site))
    assert spread([rule for ruled in planned(site) for rule in ruled.rules()]) == spread(plain)
    assert len({ruled.resource for ruled in planned(site)}) == len({rule.resource for rule in plain})


@some_site
def test_a_point_is_named_by_the_rules_that_look_at_it(site: Site) -> None:
    rules, plain = book(site), PlainBook(plain_rules(site)).naming()
    for (resource, point), expected in plain.items():
        lines = rules.naming(resource, point)
        assert [resource + ending for ending, _ in lines] == [rule.id for rule in expected]
        assert spread([rules.made(resource, form) for _, form in lines]) == spread(expected)
        assert not rules.naming(resource, "no-such-point")
    assert not rules.naming("nobody", "online")


@some_site
def test_each_alarm_is_found_by_its_id_and_a_member_by_its_set(site: Site) -> None:
    rules, plain = book(site), PlainBook(plain_rules(site))
    for rule in plain.rules:
        found = rules.find(rule.id)
        assert found is not None
        assert facts(found) == facts(rule)
        for member in ("fan-7", *sorted(rule.known)[:2]):
            expected, id = plain.find(rule.member(member).id, member), rule.member(member).id
            own = rules.find(id, member)
            assert (own and facts(own)) == (expected and facts(expected))
    assert rules.find("nobody.on-battery") is None
    assert rules.find("nobody") is None
    assert rules.find(FLOOD.id) is FLOOD


@some_site
def test_what_another_site_judges_otherwise_is_news(site: Site) -> None:
    for make in SITES.values():
        other = make()
        news = list(book(site).news(book(other)))
        assert spread(news) == spread(PlainBook(plain_rules(site)).news(PlainBook(plain_rules(other))))
    assert not list(book(site).news(book(site)))


def test_a_rule_that_comes_up_stays_one_object_beside_those_that_are_made_and_goes_again() -> None:
    site = hall().site()
    rules, plain = book(site), PlainBook(plain_rules(site))
    before = [rules.naming(rule.resource, point) for rule in plain.rules for point in rule.points]
    many = Rule("ups-a", NAME, replace(AT_ONCE, id="alike"), "unreachable")
    rules.add(many)
    assert rules.find(many.id) is many
    assert [rules.made("ups-a", form) for _, form in rules.naming("ups-a", "source")][-1] is many
    assert facts(rules.find("ups-a.on-battery") or many) == facts(plain.find("ups-a.on-battery") or many)
    assert list(rules.news(book(site))) == [many]
    rules.remove(many)
    assert rules.find(many.id) is None
    assert [rules.naming(rule.resource, point) for rule in plain.rules for point in rule.points] == before


def test_a_rule_stays_what_it_is_even_where_its_resource_has_no_page() -> None:
    assert Rulebook([], FLOOD).made(FLOOD.resource, FLOOD) is FLOOD


def test_single_rules_join_those_that_a_resource_has() -> None:
    ruled = planned(hall().site())
    single = Rule("ups-a", NAME, replace(VENDOR, id="extra"))
    for rules in (Rulebook([single, *ruled], FLOOD), Rulebook([*ruled, single], FLOOD)):
        assert rules.find(single.id) is single
        assert rules.find("ups-a.on-battery") is not None


def test_two_rules_with_one_id_are_refused() -> None:
    ruled = planned(hall().site())
    with pytest.raises(ValueError, match="two alarm rules of ups-a have one id"):
        Rulebook([*ruled, Rule("ups-a", NAME, replace(AT_ONCE, id="on-battery"))], FLOOD)
    with pytest.raises(ValueError, match="two alarm rules of ups-a have one id"):
        Rulebook([*ruled, *(each for each in ruled if each.resource == "ups-a")], FLOOD)
    with pytest.raises(ValueError, match=f"two alarm rules of {FLOOD.resource} have one id"):
        Rulebook([FLOOD], FLOOD)


def test_a_device_like_many_others_keeps_no_rules_of_its_own() -> None:
    def taken(devices: int) -> int:
        plan = Plan()
        for number in range(devices):
            plan.add(f"ups-{number}", "ups")
        site = plan.site()
        gc.collect()
        tracemalloc.start()
        try:
            floor = Floor(site)
            gc.collect()
            return tracemalloc.get_traced_memory()[0] if floor.next_due() is None else 0
        finally:
            tracemalloc.stop()

    taken(1)
    assert 0 < taken(300) - taken(100) < 200 * 1000
