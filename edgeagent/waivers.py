"""Insecure settings of a site, and who answers for them: [[waivers]] of its files.

Owns what counts as insecure. What stays on this host (loopback, serial lines) never does. An address counts as reached
over a routed network when the registries of IANA call it global, or when it is a name: that may lead anywhere, and
nothing is looked up here. Opens no file: `sitefiles.py` reads the folder and hands the tables over.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from edgeagent.broker import Broker
from edgeagent.endpoint import Endpoint
from edgeagent.mistakes import Mistake, Path_


class Insecure(StrEnum):
    """What a site had better not do; each needs a waiver."""

    PUBLIC = "snmp-community-public"
    V1 = "snmp-v1"
    V2C = "snmp-v2c-routed"
    NO_AUTH = "snmp-v3-without-auth"
    NO_PRIVACY = "snmp-v3-without-privacy-routed"
    MODBUS = "modbus-routed"
    AMI = "ami-without-tls"
    MQTT = "mqtt-without-tls"


_WHY: Final = {
    Insecure.PUBLIC: "everybody knows the community",
    Insecure.V1: "SNMP v1 has neither secrecy nor authenticity",
    Insecure.V2C: "SNMP v2c crosses a routed network in the clear",
    Insecure.NO_AUTH: "SNMPv3 without authentication can be forged by anybody",
    Insecure.NO_PRIVACY: "SNMPv3 without privacy crosses a routed network in the clear",
    Insecure.MODBUS: "Modbus crosses a routed network in the clear, and whoever is on it can forge it",
    Insecure.AMI: "the secret of the Asterisk crosses the network in the clear; use ami+tls://",
    Insecure.MQTT: "the feed and its commands cross the network in the clear; use mqtts://",
}


@dataclass(frozen=True, slots=True)
class Waiver:
    """Who answers for an insecure setting, why, and up to which day, that day included."""

    what: Insecure
    who: str
    why: str
    until: date


@dataclass(frozen=True, slots=True)
class Weakness:
    """An insecure setting of the site; `place` names the first thing that has it, and how many have."""

    what: Insecure
    place: Mistake


@dataclass(frozen=True, slots=True)
class Security:
    """The weaknesses of a site, and what is waived."""

    weaknesses: tuple[Weakness, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def open(self, today: date) -> frozenset[str]:
        """Return what is insecure and answered for by nobody."""
        return frozenset(weakness.what for weakness in self.weaknesses) - self.waived(today)

    def waived(self, today: date) -> frozenset[str]:
        """Return what is insecure and answered for."""
        held = {waiver.what for waiver in self.waivers if waiver.until >= today}
        return frozenset(weakness.what for weakness in self.weaknesses if weakness.what in held)

    def readings(self, now: float) -> dict[str, frozenset[str]]:
        """Return what the agent tells of it at `now`, epoch s, by point; days are those of the host's zone."""
        today = datetime.fromtimestamp(now).astimezone().date()
        return {"insecure": self.open(today), "insecure.waived": self.waived(today)}

    def notes(self, today: date) -> list[str]:
        """Spell, for `edgeagent check`, each weakness and who answers for it."""
        told: list[str] = []
        for weakness in self.weaknesses:
            mine = [waiver for waiver in self.waivers if waiver.what == weakness.what]
            last = max(mine, key=lambda waiver: waiver.until, default=None)
            if last is None:
                told.append(f"{weakness.place}; change it, or waive it by name: [[waivers]] what, who, why, until")
            elif last.until < today:
                told.append(f"{weakness.place}; the waiver of {last.who} ended on {last.until}")
            else:
                told.append(f"{weakness.place}; waived by {last.who} until {last.until}: {last.why}")
        idle = {waiver.what for waiver in self.waivers} - {weakness.what for weakness in self.weaknesses}
        return [*told, *(f"waivers: nothing here is {what} any more; take its waiver out" for what in sorted(idle))]


def security_of(
    endpoints: Iterable[tuple[Path_, Endpoint]], broker: Broker, waivers: Sequence[Waiver],
    say: Callable[[Path_, str], Mistake],
) -> Security:  # fmt: skip
    """Find what is insecure; `endpoints` come with the keys that hold them, `say` makes a note at a key."""
    found: dict[Insecure, list[Path_]] = {}
    for path, endpoint in endpoints:
        for what in _of(endpoint):
            found.setdefault(what, []).append(path)
    if any(not each.secured and each.host and not _local(each.host) for each in broker.all()):
        found[Insecure.MQTT] = [("feed", "broker")]
    weaknesses = tuple(
        Weakness(
            what, say(places[0], f"{what}: {_WHY[what]} (in {len(places)} {'place' if len(places) == 1 else 'places'})")
        )
        for what, places in found.items()
    )
    return Security(weaknesses, tuple(waivers))


def _of(endpoint: Endpoint) -> list[Insecure]:
    """Return what is insecure about the way to one device."""
    if not endpoint.host or _local(endpoint.host):
        return []
    routed, options = _routed(endpoint.host), endpoint.options
    match endpoint.scheme:
        case "modbus" | "modbus+rtuovertcp" if routed:
            return [Insecure.MODBUS]
        case "ami":
            return [Insecure.AMI]
        case "snmp" if options["version"] == "3":
            if options["auth"] == "none":
                return [Insecure.NO_AUTH]
            return [Insecure.NO_PRIVACY] if options["priv"] == "none" and routed else []
        case "snmp":
            known = [Insecure.PUBLIC] if endpoint.secrets["community"] in ("public", "private") else []
            if options["version"] == "1":
                return [*known, Insecure.V1]
            return [*known, Insecure.V2C] if routed else known
    return []


def _local(host: str) -> bool:
    """Tell whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _routed(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True
