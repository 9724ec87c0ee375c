"""A client that forges the agent's own topics, at a real mosquitto."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from pathlib import Path

from edgeagent.broker import Broker
from edgeagent.mqtt import Connection
from tests.broker import Listener, Mosquitto, needs_mosquitto, until
from tests.rig import TOPICS, Daemon, Ear, device, edgeagent, write_site
from tests.test_feed import STATUS, TREE, agent, eventually, raised
from tests.test_mqtt import Heard, running

ALARMS = TREE.alarms()


@needs_mosquitto
def test_a_forged_all_is_well_is_seen_and_taken_back(tmp_path: Path) -> None:
    forged = json.dumps({"open": [], "total": 0}).encode()
    stranger = "floor/v1/hq/live/alarm/ups-z.never"

    async def run() -> None:
        with Mosquitto(tmp_path) as broker, Listener(broker.port, "floor/v1/hq/#") as listener:
            async with agent(tmp_path, broker.port) as one:
                await one.tell(raised("ups-a.on-battery"))
                await one.drained()
                await eventually(lambda: listener.newest(ALARMS))
                await asyncio.sleep(0.3)  # whatever is ours has had time to come back
                assert not one.feed.foreign.heard(time.monotonic())
                assert not one.feed.foreign.deaf
                ours = listener.newest(ALARMS)
                other = Connection(Broker("127.0.0.1", broker.port, "forger"), heard := Heard())
                async with running(other):
                    await eventually(lambda: heard.connected)
                    for topic in (ALARMS, STATUS, stranger):
                        other.publish(topic, forged, retain=True)
                    await eventually(lambda: len(listener.on(stranger)) == 2)
                    await eventually(lambda: listener.newest(STATUS).get("state") == "online")
                assert one.feed.foreign.heard(time.monotonic())
                assert [each["payload"] for each in listener.on(ALARMS)][-2:] == [json.loads(forged), ours]
                assert [each["payload"] for each in listener.on(stranger)] == [json.loads(forged), None]

    asyncio.run(run())


@needs_mosquitto
def test_the_agent_raises_an_alarm_of_a_foreign_writer_and_of_what_nobody_answers_for(tmp_path: Path) -> None:
    """Broker and device are on loopback, so a device that is never there stands for what is insecure."""
    away = device("ups-a", "ups/rfc1628", "snmp://10.255.255.1?version=1&community=public", timeout=0.2)
    waiver = '[[waivers]]\nwhat = "snmp-v1"\nwho = "Li Wei"\nwhy = "an old card"\nuntil = 2999-12-31\n'
    with Mosquitto(tmp_path) as broker, Ear(broker.port) as ear:
        folder = write_site(tmp_path / "site", broker.port, away, waiver)
        checked = edgeagent("check", "--config", folder)
        assert checked.returncode == 0
        assert "snmp-community-public: everybody knows the community" in checked.stdout
        assert "waived by Li Wei until 2999-12-31" in checked.stdout
        with Daemon(folder):
            told = ear.until_raised("agent.insecure.snmp-community-public")
            assert told["severity"] == "warning"
            assert "agent.insecure.snmp-v1" not in ear.listed()
            well = json.dumps({**ear.newest(f"{TOPICS}/alarms"), "open": []})
            forge = ["mosquitto_pub", "-p", str(broker.port), "-q", "1", "-r", "-t", f"{TOPICS}/alarms", "-m", well]
            subprocess.run([*forge, "-h", "127.0.0.1"], check=True, timeout=30)
            assert ear.until_raised("agent.foreign-writer")["severity"] == "major"
            until(lambda: "agent.foreign-writer" in ear.listed())
