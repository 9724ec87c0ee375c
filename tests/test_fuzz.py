"""Answers that lie, are cut short or say nothing: 100,000 of them for each protocol.

Two promises are held to. What gives no information (nothing, garbage, a sentinel) raises no alarm but the ones that
say just that. What says something raises at most alarms whose points it was an answer to.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from edgeagent.alarm import Rule
from edgeagent.catalog import Driver
from edgeagent.decode import decode, identity
from edgeagent.driverfiles import load
from edgeagent.fit import best, suited
from edgeagent.inventory import driver_rules
from edgeagent.phases import PHASES
from edgeagent.probe import plan_of, raised
from edgeagent.readings import Answers, Missing, Raw
from edgeagent.resources import drivers
from edgeagent.simulator import SimulatedDevice

CATALOG = load([drivers()])
MUTATIONS = int(os.environ.get("FUZZ", "100000"))
PROTOCOLS = sorted({driver.protocol for driver in CATALOG.drivers.values()})
GARBAGE: tuple[Raw, ...] = (
    *Missing, b"", b" ", b"\xff\xfe\x00", b"UNKNOWN", b"---.-", b"n/a", b"NaN", float("nan"), float("inf"), 10**400,
    b"9" * 5000, "0.0",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A driver, what its healthy device answers, and which of its alarms rest on which addresses."""

    driver: Driver
    answers: Answers
    addresses: tuple[str, ...]
    rules: tuple[Rule, ...]
    evidence: Mapping[str, frozenset[str]]
    sentinels: Mapping[str, tuple[Raw, ...]]


def sources(driver: Driver, point: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Find all addresses on which a point rests, through conditions, phases and doubts."""
    if point in seen:
        return
    seen |= {point}
    model = driver.kind.point(point)
    stems = {point, *(f"{point}.{phase}" for phase in PHASES)}
    for item in driver.items:
        if item.point in stems:
            yield from item.addresses
            yield from (item.walk,) if item.walk else ()
            if item.when is not None:
                for other in item.when.points:
                    yield from sources(driver, other, seen)
    if model is not None and model.doubt is not None:
        for other in model.doubt.points:
            yield from sources(driver, other, seen)
    side = point.partition(".")[0]
    if model is not None and model.phases and side in ("input", "output", "bypass"):
        # Rows that the output shows to be phantoms are dropped on all sides.
        yield from (a for item in driver.items if item.point.startswith("output.") for a in item.addresses)


def target(driver: Driver) -> Target:
    device = SimulatedDevice(driver)
    plan = plan_of(driver)
    answers = {address: device.answers.get(address, Missing.ABSENT) for address in plan.gets}
    for root in plan.walks:
        answers[root] = 0
    rules = tuple(driver_rules("x", driver.kind.text, device.driver, driver.kind.alarms))
    shared = [address for variant in driver.variants for address in variant.between]
    evidence = {}
    for rule in rules:
        points = rule.points | ({rule.type.each} if rule.type.each else set())
        evidence[rule.id] = frozenset(a for point in points for a in sources(device.driver, point)).union(shared)
    sentinels: dict[str, tuple[Raw, ...]] = {}
    for address in plan.gets:
        items = [item for item in driver.items if address in item.addresses]
        own = set(items[0].sentinels) if items and len(items[0].addresses) == 1 else set()
        sentinels[address] = tuple(raw for raw in own if all(raw in item.sentinels for item in items))
    return Target(device.driver, answers, (*plan.gets, *plan.walks), rules, evidence, sentinels)


def silent_rules(rules: tuple[Rule, ...]) -> frozenset[str]:
    """Name the alarms that say that something is not there or broken."""
    words = ("bad(", "unknown(", "absent(")
    return frozenset(
        rule.id for rule in rules if any(word in level.when.text for level in rule.type.levels for word in words)
    )


def anything(rng: random.Random, old: Raw) -> Raw:
    if rng.random() < 0.2 and isinstance(old, int):
        return old ^ 1 << rng.randrange(16)
    return rng.choice(
        (
            rng.choice(GARBAGE),
            rng.randrange(0x10000),
            rng.randrange(300),
            rng.randrange(20),
            rng.randrange(-(2**31), 2**32),
            rng.randbytes(rng.randrange(12)),
            str(rng.randrange(10**6)).encode(),
            "1.3.6.1.2.1.33.1.6.3." + str(rng.randrange(30)),
        )
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_answer_raises_an_exception_or_an_alarm_without_evidence(protocol: str) -> None:
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    targets = [target(driver) for driver in CATALOG.drivers.values() if driver.protocol == protocol]
    mutated = 0
    while mutated < MUTATIONS:
        one = rng.choice(targets)
        count = min(rng.choice((1, 1, 2, 5, 20)), len(one.addresses))
        changed = rng.sample(one.addresses, count)
        nothing = rng.random() < 0.5
        answers = dict(one.answers)
        for address in changed:
            known = one.sentinels.get(address, ())
            if nothing:
                answers[address] = rng.choice(known) if known and rng.random() < 0.3 else rng.choice(GARBAGE)
            else:
                answers[address] = anything(rng, answers[address])
                if address in one.driver.walks:
                    answers[f"{address}.{rng.randrange(9)}"] = anything(rng, 0)
        mutated += count
        story = f"seed {seed}: {one.driver.id} { ({address: str(answers[address])[:40] for address in changed})!r}"
        readings = decode(one.driver, answers, 0.0)
        identity(one.driver, answers, 0.0)
        found = raised(one.rules, readings)
        if nothing:
            loud = set(found) - silent_rules(one.rules)
            assert not {id for id in loud if ".unknown" not in id}, story
        for id in found:
            rule = id if id in one.evidence else next(each for each in one.evidence if id.startswith(f"{each}."))
            assert one.evidence[rule] & {*changed}, f"{story}: {id}"
        if rng.random() < 0.01:
            best([one.driver], answers)
            suited(one.driver, answers)
