"""What a site sets otherwise than a kind does: limits, delays and severities of alarm types, each checked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

from pydantic import Field

from edgeagent.catalog import AlarmType, Kind, Severity
from edgeagent.mistakes import Path_, nearest
from edgeagent.tomlfile import Strict


class Override(Strict):
    """What differs in one alarm type of one device, or of the mains. Delays in s, limits in the unit of the point."""

    enabled: bool = True
    severity: Severity | None = None
    limit: float | None = None
    limits: dict[Severity, float] = Field(default_factory=dict)
    on_delay: float | None = Field(default=None, ge=0)
    off_delay: float | None = Field(default=None, ge=0)
    deadband: float | None = Field(default=None, ge=0)


class Overridden:
    """Alarm types as a site has them, made once for all that set the same: what they share, the rules on them share."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[Kind, Mapping[str, AlarmType]]] = {}

    def __call__(
        self, kind: Kind, overrides: Mapping[str, Override], say: Callable[[Path_, str], None]
    ) -> Mapping[str, AlarmType]:
        """Return what `overridden` returns; a mistake is said each time it is made."""
        key = (kind.id, repr(overrides))
        known = self._known.get(key)
        if known is not None and known[0] is kind:
            return known[1]
        wrong: list[tuple[Path_, str]] = []
        alarms = overridden(kind, overrides, lambda path, text: wrong.append((path, text)))
        for mistake in wrong:
            say(*mistake)
        if not wrong:
            self._known[key] = (kind, alarms)
        return alarms


def overridden(
    kind: Kind, overrides: Mapping[str, Override], say: Callable[[Path_, str], None]
) -> Mapping[str, AlarmType]:
    """Return the kind's alarm types as the site has them; `say` hears of mistakes, by the path below the overrides."""
    if not overrides:
        return kind.alarms
    alarms = dict(kind.alarms)
    for id, override in overrides.items():
        if id not in kind.alarms:
            say((id,), f"{kind.id} has no such alarm{nearest(id, list(kind.alarms))}")
        elif not override.enabled:
            del alarms[id]
        else:
            alarms[id] = _changed(alarms[id], override, say)
    return alarms


def _changed(type: AlarmType, override: Override, say: Callable[[Path_, str], None]) -> AlarmType:
    limits = dict(override.limits)
    known = {level.severity for level in type.levels if level.limit is not None}
    if override.limit is not None and len(type.levels) == 1:
        limits[type.levels[0].severity] = override.limit
    elif override.limit is not None:
        say((type.id, "limit"), f"has several severities; write limits = {{ {type.levels[0].severity} = … }}")
    for severity in limits:
        if severity not in known:
            say((type.id,), f"has no limit for {severity} (it has: {', '.join(sorted(known)) or 'none'})")
    if override.severity is not None and len(type.levels) > 1:
        say((type.id, "severity"), "has several severities of its own")
    levels = tuple(
        replace(
            level,
            limit=limits.get(level.severity, level.limit),
            on_delay=level.on_delay if override.on_delay is None else override.on_delay,
            severity=override.severity or level.severity,
        )
        for level in type.levels
    )
    before, after = ([level.limit for level in each if level.limit is not None] for each in (type.levels, levels))
    if [a <= b for a, b in pairwise(before)] != [a <= b for a, b in pairwise(after)]:
        say((type.id,), f"its limits cross, from the lowest severity to the highest: {', '.join(map(str, after))}")
    return replace(
        type,
        levels=levels,
        off_delay=type.off_delay if override.off_delay is None else override.off_delay,
        deadband=type.deadband if override.deadband is None else override.deadband,
    )
