"""The client `nacos-sdk-python`, up to 1.x: what it registers, lists, beats, changes and takes away. Says what it saw as JSON."""

import json
import logging
import sys
import time

import nacos
from nacos.listener import SubscribeListener

logging.disable(logging.CRITICAL)
server, username, password = sys.argv[1:]
client = nacos.NacosClient(server, namespace="public", username=username, password=password)
seen = {}


def until(what, ask):
    """Asks again and again, for what a client does by itself."""
    for _ in range(600):
        if ask():
            return
        time.sleep(0.05)
    raise SystemExit(f"in 30 s there was no {what}")


seen["register"] = client.add_naming_instance(
    "py", "10.0.0.7", 8002, cluster_name="c1", weight=2.0, metadata={"zone": "a"}, heartbeat_interval=1)
seen["register_plain"] = client.add_naming_instance("py", "10.0.0.8", 8002)
seen["hosts"] = sorted(
    (host["ip"], host["clusterName"], host["weight"], host["healthy"], host["metadata"].get("zone"))
    for host in client.list_naming_instance("py", healthy_only=True)["hosts"])
seen["in_cluster"] = [host["ip"] for host in client.list_naming_instance("py", clusters="c1")["hosts"]]
seen["detail"] = client.get_naming_instance("py", "10.0.0.7", 8002, cluster_name="c1")["instanceId"]
seen["beat"] = client.send_heartbeat("py", "10.0.0.8", 8002)["code"]
seen["modify"] = client.modify_naming_instance("py", "10.0.0.7", 8002, cluster_name="c1", weight=3.0)
seen["weight"] = client.get_naming_instance("py", "10.0.0.7", 8002, cluster_name="c1")["weight"]
seen["native"] = [host["ip"] for host in client.list_naming_instance("native")["hosts"]]

events = []
listener = SubscribeListener(lambda event, instance: events.append((event, instance.instance["ip"])), "told")
client.subscribe(listener, 1, "told")
time.sleep(1.2)
client.add_naming_instance("told", "10.0.0.9", 1)
until("event", lambda: len(events) >= 1)
client.remove_naming_instance("told", "10.0.0.9", 1)
until("second event", lambda: len(events) >= 2)
client.stop_subscribe()
seen["events"] = events
seen["remove"] = client.remove_naming_instance("py", "10.0.0.8", 8002)
seen["left"] = [host["ip"] for host in client.list_naming_instance("py")["hosts"]]

try:
    stranger = nacos.NacosClient(server, namespace="public", username=username, password="wrong")
    stranger.list_naming_instance("py")
    seen["stranger"] = "let in"
except Exception as error:
    seen["stranger"] = str(error)

print(json.dumps(seen), flush=True)
for task in list(client.heartbeats.values()):
    task.stop()
