"""Let a running Home Assistant follow a feed. Run by a Python that has it, not by the tests' own.

    python homeassistant_follow.py PORT SECONDS FOLDER

Its own MQTT integration discovers what lies under `homeassistant/`. Releases before 2024.11 know single components
only; for them each device's message is said again in parts, as later ones take it apart themselves. Prints one JSON
object a line for each state that an entity takes: {"entity": …, "name": …, "state": …, "unit": …, "after": s}.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from homeassistant.bootstrap import async_load_base_functionality  # type: ignore[import-not-found]
from homeassistant.components import mqtt  # type: ignore[import-not-found]
from homeassistant.config_entries import ConfigEntries, ConfigEntry  # type: ignore[import-not-found]
from homeassistant.const import EVENT_STATE_CHANGED  # type: ignore[import-not-found]
from homeassistant.core import Event, HomeAssistant  # type: ignore[import-not-found]
from homeassistant.loader import async_setup as set_up_loader  # type: ignore[import-not-found]
from homeassistant.setup import async_setup_component  # type: ignore[import-not-found]

BEGAN = time.monotonic()
SHARED = ("availability", "availability_mode", "state_topic", "origin", "device", "qos")


def tell(event: Event) -> None:
    state = event.data["new_state"]
    if state is not None:
        unit = state.attributes.get("unit_of_measurement")
        said = {
            "after": round(time.monotonic() - BEGAN, 1),
            "entity": state.entity_id,
            "name": state.name,
            "state": state.state,
            "unit": unit,
        }
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


async def follow(port: int, seconds: float, folder: str) -> None:
    (Path(folder) / "configuration.yaml").touch()
    core = HomeAssistant(folder)
    set_up_loader(core)
    core.config_entries = ConfigEntries(core, {})
    await async_load_base_functionality(core)
    await core.config_entries.async_initialize()
    core.config.components |= {"http", "file_upload"}  # the integration's forms need them, and nobody fills them in
    core.bus.async_listen(EVENT_STATE_CHANGED, tell)
    entry = ConfigEntry(
        version=1, minor_version=1, domain="mqtt", title="feed", source="user",
        data={"broker": "127.0.0.1", "port": port, "protocol": "5", "discovery": True},
    )  # fmt: skip
    assert await async_setup_component(core, "mqtt", {})
    await core.config_entries.async_add(entry)
    await core.async_start()

    async def in_parts(message: Any) -> None:  # noqa: ANN401 - of Home Assistant
        payload = json.loads(message.payload) if message.payload else {"components": {}}
        node = message.topic.split("/")[2]
        for id, component in payload["components"].items():
            own = {**{key: payload[key] for key in SHARED if key in payload}, **component}
            topic = f"homeassistant/{own.pop('platform')}/{node}/{id.replace('.', '_')}/config"
            await mqtt.async_publish(core, topic, json.dumps(own), 1)

    await mqtt.async_subscribe(core, "homeassistant/device/+/config", in_parts, 1)
    await asyncio.sleep(seconds)
    await core.async_stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(follow(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
