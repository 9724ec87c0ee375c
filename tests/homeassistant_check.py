"""Judge discovery messages by Home Assistant itself. Run by a Python that has it, not by the tests' own.

Reads `[{"payload": …, "state": …, "availability": …}, …]` from stdin; prints one JSON object per message with what its
templates make of these payloads. Ends with a traceback where Home Assistant would not take a message.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import Any

from homeassistant.components.mqtt import binary_sensor, mixins, sensor  # type: ignore[import-not-found]
from homeassistant.components.sensor import (  # type: ignore[import-not-found]
    DEVICE_CLASS_STATE_CLASSES,
    DEVICE_CLASS_UNITS,
)
from homeassistant.core import HomeAssistant  # type: ignore[import-not-found]
from homeassistant.helpers.template import Template  # type: ignore[import-not-found]

SCHEMAS = {"sensor": sensor.DISCOVERY_SCHEMA, "binary_sensor": binary_sensor.DISCOVERY_SCHEMA}
SHARED = ("availability", "availability_mode", "state_topic")


def checked(payload: dict[str, Any]) -> dict[str, Any]:
    """Take a device apart into components as Home Assistant does, and have each judged by its own schema."""
    mixins.MQTT_ENTITY_DEVICE_INFO_SCHEMA(payload["device"])
    components = {}
    for id, component in payload["components"].items():
        merged = {**{key: payload[key] for key in SHARED if key in payload}, **component, "device": payload["device"]}
        found = SCHEMAS[component["platform"]](merged)
        kind, unit, state = (found.get(key) for key in ("device_class", "unit_of_measurement", "state_class"))
        if component["platform"] == "sensor" and kind is not None:
            assert kind not in DEVICE_CLASS_UNITS or unit in DEVICE_CLASS_UNITS[kind], (id, kind, unit)
            assert state is None or state in DEVICE_CLASS_STATE_CLASSES[kind], (id, kind, state)
        assert kind != "enum" or component["options"], id
        components[id] = found
    return components


def shown(core: HomeAssistant, template: str, payload: dict[str, Any]) -> str:
    return str(Template(template, core).async_render_with_possible_json_value(json.dumps(payload), "error"))


async def judge(cases: list[dict[str, Any]]) -> None:
    core = HomeAssistant(tempfile.gettempdir())
    for case in cases:
        read = {id: found["value_template"].template for id, found in checked(case["payload"]).items()}
        values = {id: shown(core, template, case["state"]) for id, template in read.items()}
        last = case["payload"]["availability"][-1]["value_template"]
        print(json.dumps({"values": values, "available": shown(core, last, case["availability"])}))


asyncio.run(judge(json.load(sys.stdin)))
