"""What Home Assistant is told of the site, so that it shows each device without being configured. Pure.

One retained message a device, and one for the agent, in the form of its MQTT device discovery (2024.11 and later). It
tells where on the feed each point is found; values are read from the live lane alone, so a drill is never shown. The
messages stay at the broker and are said again after every connection: no ear for Home Assistant's own birth is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from edgeagent import __version__, messages
from edgeagent.catalog import Point, PointType, Severity, Text
from edgeagent.config import Device, Site
from edgeagent.devices import REACHABLE
from edgeagent.messages import Message, Tree

_UNITS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "%": ("%", ""),
        "A": ("A", "current"),
        "Cel": ("°C", "temperature"),
        "Hz": ("Hz", "frequency"),
        "Mbit/s": ("Mbit/s", "data_rate"),
        "V": ("V", "voltage"),
        "W": ("W", "power"),
        "[ppm]": ("ppm", "carbon_dioxide"),
        "d": ("d", "duration"),
        "dB": ("dB", "sound_pressure"),
        "kPa": ("kPa", "pressure"),
        "lx": ("lx", "illuminance"),
        "ms": ("ms", "duration"),
        "r/min": ("rpm", ""),
        "s": ("s", "duration"),
    }
)
"""UCUM code -> unit and device class of Home Assistant. A mere number ("1") has neither."""
_PERCENT: Final[Mapping[str, str]] = MappingProxyType(
    {"battery": "battery", "battery.charge": "battery", "humidity": "humidity", "ambient.humidity": "humidity"}
)
"""Points in % that Home Assistant knows by a device class."""
_FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "charging": "battery_charging", "compressor": "running", "config.error": "problem", "disagreement": "problem",
        "door": "door", "echo": "connectivity", "fan": "running", "filter": "problem", "intrusion": "safety",
        "mains-present": "power", "mains.healthy": "power", "nic": "connectivity", "online": "connectivity",
        "output-powered": "power", "overdue": "problem", "powered": "power", "present": "plug",
        "reachable": "connectivity", "registered": "connectivity", "running": "running", "smoke": "smoke",
        "unit.connected": "connectivity", "water": "moisture", "wire-break": "problem",
    }
)  # fmt: skip
"""Flag -> device class, where on means there what true means here."""
_COUNTERS: Final = frozenset({"input.failures", "runtime", "starts", "transfers"})
"""Numbers that only grow."""
_MOMENT: Final = "boot"
"""A number that is a time, epoch s."""
_LONGEST: Final = 250
"""Characters of a state; Home Assistant takes 255."""
_STALE: Final = 180.0
"""s after which a value that is not said again is unknown: the feed says each one again in a third of that."""


def discovery(site: Site, tree: Tree, now: float) -> list[Message]:
    """Give all that Home Assistant is to know of a site; nothing where the site does not want it to."""
    wanted = site.homeassistant
    if wanted is None:
        return []
    told = {f"{site.id}_agent_{site.agent}": _agent(site, tree)}
    for id, device in site.devices.items():
        node = site.tree.nodes.get(id)
        if wanted.seats or node is None or node.seat is None:
            # Ids have no underscore, so that no two devices of two sites share a name.
            told[f"{site.id}_{id}"] = _device(site, tree, device)
    return [messages.state(f"{wanted.prefix}/device/{name}/config", said, now) for name, said in told.items()]


def _device(site: Site, tree: Tree, device: Device) -> dict[str, Any]:
    own = f"{site.id}_{device.id}"
    known: dict[str, str] = {"name": _say(site, device.name), "model": _say(site, device.driver.text)}
    if device.area is not None:
        known["suggested_area"] = _say(site, site.areas[device.area])
    components = {}
    for id in sorted(device.driver.points | {REACHABLE}):
        point = device.driver.kind.point(id)
        if point is not None:
            stale = max(_STALE, 3 * device.interval)
            components[id] = {
                **_of(point, id),
                "name": _named(site, point, id),
                **_ids(own, id, point.type is PointType.FLAG),
                "expire_after": round(stale),
            }
    # What tells that a device does not answer must be there while it does not.
    components[REACHABLE] |= {
        "state_topic": tree.availability(device.id),
        "value_template": "{{ {'online': 'True', 'offline': 'False'}.get(value_json.state, 'None') }}",
        "availability": [_online(tree.own("status"))],
        "entity_category": "diagnostic",
    }
    components[REACHABLE].pop("expire_after")  # it is said when it changes
    return {
        "device": {"identifiers": [f"edgeagent_{own}"], **known, "via_device": _agent_id(site)},
        "origin": _origin(),
        "state_topic": tree.state(device.id),
        "availability": [_online(tree.own("status")), _online(tree.availability(device.id))],
        "availability_mode": "all",
        "components": components,
    }


def _agent(site: Site, tree: Tree) -> dict[str, Any]:
    own = f"{site.id}_agent_{site.agent}"
    components: dict[str, dict[str, Any]] = {}
    for severity in reversed(Severity):
        text = _ALARMS[severity]
        components[f"alarms.{severity}"] = {
            "platform": "sensor",
            "state_class": "measurement",
            "state_topic": tree.alarms(),
            "value_template": f"{{{{ value_json.counts.{severity} }}}}",
            "name": _say(site, text),
        }
    components["alarms.unacknowledged"] = {
        "platform": "sensor",
        "state_class": "measurement",
        "state_topic": tree.alarms(),
        "value_template": "{{ value_json.unacknowledged }}",
        "name": _say(site, Text("Unacknowledged alarms", "未确认告警数")),
    }
    for id, (path, text) in _HEALTH.items():
        components[id] = {
            "platform": "sensor",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "value_template": f"{{{{ value_json.{path} }}}}",
            "expire_after": round(_STALE),
            "name": _say(site, text),
        }
    components["trouble"] = {
        "platform": "binary_sensor",
        "device_class": "problem",
        **_TRUTH,
        "value_template": "{{ value_json.trouble | length > 0 }}",
        "expire_after": round(_STALE),
        "name": _say(site, Text("Trouble of its own", "自身故障")),
    }
    for id, component in components.items():
        component.update(_ids(own, id, component["platform"] == "binary_sensor"))
    return {
        "device": {
            "identifiers": [_agent_id(site)],
            "name": _say(site, Text(f"Agent {site.agent}", f"监控代理 {site.agent}")),
            "model": "edgeagent",
            "sw_version": __version__,
        },
        "origin": _origin(),
        "state_topic": tree.own("health"),
        "availability": [_online(tree.own("status"))],
        "availability_mode": "all",
        "components": components,
    }


_TRUTH: Final[Mapping[str, str]] = MappingProxyType({"payload_on": "True", "payload_off": "False"})
"""How a template spells true and false."""
_ALARMS: Final[Mapping[Severity, Text]] = MappingProxyType(
    {
        Severity.CRITICAL: Text("Critical alarms", "紧急告警数"),
        Severity.MAJOR: Text("Major alarms", "重要告警数"),
        Severity.MINOR: Text("Minor alarms", "次要告警数"),
        Severity.WARNING: Text("Warnings", "警告数"),
        Severity.INDETERMINATE: Text("Alarms of unknown severity", "级别不明告警数"),
    }
)
_HEALTH: Final[Mapping[str, tuple[str, Text]]] = MappingProxyType(
    {
        "devices": ("counts.devices", Text("Devices", "设备数")),
        "silent": ("counts.silent", Text("Devices that do not answer", "无应答设备数")),
        "outbox.events": ("outbox.events", Text("Events waiting", "待发事件数")),
        "quarantined": ("quarantined", Text("Messages in quarantine", "隔离消息数")),
    }
)
"""Figures of the heartbeat: where they stand in it, and what they are called."""


def _of(point: Point, id: str) -> dict[str, Any]:
    """Say what a point is for Home Assistant, and how its value is read."""
    value = f"value_json.get('{id}')"
    if point.type is PointType.FLAG:
        kind = _FLAGS.get(point.id)
        known = {} if kind is None else {"device_class": kind}
        return {"platform": "binary_sensor", **known, **_TRUTH, "value_template": f"{{{{ {value} }}}}"}
    if point.type is PointType.NUMBER:
        return {"platform": "sensor", **dict(_number(point, value))}
    if point.type is PointType.ENUM:
        template = f"{{{{ {value} }}}}"
        return {"platform": "sensor", "device_class": "enum", "options": list(point.values), "value_template": template}
    spoken = f"({value} or []) | join(', ')" if point.type is PointType.SET else f"({value} or '') | string"
    text = {"platform": "sensor", "value_template": f"{{{{ ({spoken})[:{_LONGEST}] }}}}"}
    return text if point.type is PointType.SET else {**text, "entity_category": "diagnostic"}


def _number(point: Point, value: str) -> Iterator[tuple[str, str]]:
    if point.id == _MOMENT:
        yield "device_class", "timestamp"
        yield "value_template", f"{{{{ {value} | as_datetime if {value} is number else None }}}}"
        return
    unit, kind = _UNITS.get(point.unit or "", ("", ""))
    kind = _PERCENT.get(point.id, "") if unit == "%" else kind
    if unit:
        yield "unit_of_measurement", unit
    if kind:
        yield "device_class", kind
    yield "state_class", "total_increasing" if point.id in _COUNTERS else "measurement"
    yield "value_template", f"{{{{ {value} }}}}"


def _named(site: Site, point: Point, id: str) -> str:
    """Name a point, and which one where there are several: a phase, or an input that the site has named."""
    which = id.removeprefix(point.id).lstrip(".")
    name = _say(site, point.text)
    return f"{name} {which.upper() if point.phases else which}" if which else name


def _ids(own: str, id: str, flag: bool) -> dict[str, str]:
    """Give what keeps an entity the same whatever it is called, and a name for it that no language changes."""
    slug = f"{own}_{id}".translate(_SLUG)
    return {
        "unique_id": f"edgeagent_{own}_{id}",
        "default_entity_id": f"{'binary_sensor' if flag else 'sensor'}.{slug}",
    }


_SLUG: Final = str.maketrans(".-", "__")


def _online(topic: str) -> dict[str, str]:
    """Take anything but online for unavailable, what is not known yet too."""
    template = "{{ 'online' if value_json.state == 'online' else 'offline' }}"
    return {"topic": topic, "value_template": template}


def _origin() -> dict[str, str]:
    return {"name": "edgeagent", "sw_version": __version__}


def _agent_id(site: Site) -> str:
    return f"edgeagent_{site.id}_agent_{site.agent}"


def _say(site: Site, text: Text) -> str:
    return text.zh if site.language == "zh" else text.en
