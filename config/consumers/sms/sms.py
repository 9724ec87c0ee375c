"""Send an SMS for each critical alarm: `sms.py BROKER SITE COMMAND…`; COMMAND gets the text as its last argument."""

import json
import subprocess
import sys
from collections import deque

import paho.mqtt.client as mqtt

host, site, *command = sys.argv[1:]
topic, seen = f"floor/v1/{site}/live/event/alarm/critical", deque(maxlen=10_000)


def on_message(client, _, message):
    try:
        event = json.loads(message.payload)
        drill = event["mode"] != "live" or "exerciseid" in event or not message.topic.startswith(topic)
        if not (drill or event.get("replayed") or message.retain or (event["source"], event["id"]) in seen):
            subprocess.run([*command, event["data"]["short_text"]], check=True, timeout=30)
            seen.append((event["source"], event["id"]))
    except (ValueError, LookupError, TypeError, OSError, subprocess.SubprocessError) as error:
        print("not sent:", repr(error), file=sys.stderr)  # it is not sent again: watch this log


gateway = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, f"sms-{site}", protocol=mqtt.MQTTv311, clean_session=False)
gateway.on_connect = lambda *_: gateway.subscribe(topic, qos=1)
gateway.on_message = on_message
gateway.connect(host.partition(":")[0], int(host.partition(":")[2] or 1883), keepalive=15)
gateway.loop_forever(retry_first_connection=True)
