"""The client `py-consul`: what it registers, checks, finds and waits for. Says what it saw as JSON."""

import json
import sys
import threading

import consul

host, port = sys.argv[1].split(":")
token = sys.argv[2]
client = consul.Consul(host=host, port=int(port), token=token)
# Some of its calls send no token by themselves.
client.http.session.headers["X-Consul-Token"] = token
seen = {}

seen["register"] = client.agent.service.register(
    "py-web", service_id="py-web-1", address="10.0.0.7", port=80, tags=["v1", "k=v"], meta={"zone": "a"},
    weights={"Passing": 2, "Warning": 1}, check=consul.Check.ttl("10s"))
seen["before"] = client.health.service("py-web", passing=True)[1]
seen["pass"] = client.agent.check.ttl_pass("service:py-web-1", notes="fine")
index, found = client.health.service("py-web", passing=True)
service = found[0]["Service"]
seen["found"] = [service["ID"], service["Address"], service["Port"], service["Tags"], service["Meta"], service["Weights"]["Passing"]]
seen["by_tag"] = [one["ServiceID"] for one in client.catalog.service("py-web", tag="v1")[1]]
seen["names"] = sorted(client.catalog.services()[1])
seen["native"] = [one["ServiceAddress"] for one in client.catalog.service("native")[1]]
seen["agent"] = sorted(client.agent.services())
seen["datacenter"] = client.agent.self()["Config"]["Datacenter"]
seen["datacenters"] = client.catalog.datacenters()
seen["leader"] = client.status.leader()
seen["nodes"] = [node["Node"] for node in client.catalog.nodes()[1]]
seen["checks"] = [check["Status"] for check in client.health.checks("py-web")[1]]

told = []
waiting = threading.Thread(target=lambda: told.append(client.health.service("py-web", index=index, wait="30s")))
waiting.start()
seen["warn"] = consul.Consul(host=host, port=int(port), token=token).agent.check.ttl_warn("service:py-web-1", notes="slow")
waiting.join(20)
new_index, found = told[0]
seen["told"] = [int(new_index) > int(index), found[0]["Checks"][1]["Status"], found[0]["Checks"][1]["Output"]]

seen["maintenance"] = client.agent.service.maintenance("py-web-1", "true", reason="new disk")
seen["maintained"] = [check["CheckID"] for check in client.health.checks("py-web")[1]]
seen["maintenance_over"] = client.agent.service.maintenance("py-web-1", "false")
client.agent.service.register("py-web", service_id="py-web-2", address="10.0.0.8", port=80)
seen["deregister"] = client.agent.service.deregister("py-web-1")
seen["left"] = [one["ServiceID"] for one in client.catalog.service("py-web")[1]]
try:
    consul.Consul(host=host, port=int(port), token="looma_wrong").catalog.services()
    seen["stranger"] = "let in"
except consul.ACLPermissionDenied as error:
    seen["stranger"] = str(error)
print(json.dumps(seen))
