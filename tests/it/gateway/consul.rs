//! Each call of Consul's HTTP that is answered.

use looma_tests::{TestServer, both_databases};
use serde_json::{Value, json};

use super::{native, offered, read};

async fn put(looma: &TestServer, path: &str, body: &Value) -> u16 {
    looma.admin().await.put(&format!("/consul/v1{path}"), body).await.status
}

async fn get(looma: &TestServer, path: &str) -> Value {
    looma.admin().await.get(&format!("/consul/v1{path}")).await.expect(200)
}

/// Registers `web` on 10.0.0.7:80 with more fields.
async fn register(looma: &TestServer, id: &str, fields: Value) {
    let mut service = json!({"ID": id, "Name": "web", "Address": "10.0.0.7", "Port": 80});
    service.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    assert_eq!(put(looma, "/agent/service/register", &service).await, 200);
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["Service"]["ID"].as_str().unwrap()).collect()
}

both_databases! {
    /// What Consul's agent registers is a service of the registry at once, and found by every other way.
    async fn a_registration_is_a_service(looma: TestServer) {
        register(looma, "web-1", json!({"Tags": ["primary", "v=1"], "Meta": {"zone": "a", "service_type": "edge", "node_id": "n1"}, "Weights": {"Passing": 3, "Warning": 1}})).await;
        let service = read(looma, "web-1").await;
        for (field, expected) in [("service_name", json!("web")), ("service_type", json!("edge")), ("node_id", json!("n1")), ("service_url", json!("http://10.0.0.7:80")),
            ("weight", json!(300)), ("ttl_seconds", json!(0)), ("health_status", json!("healthy")), ("check", json!(null)),
            ("tags", json!({"primary": "", "v": "1", "zone": "a", "service_type": "edge", "node_id": "n1"}))] {
            assert_eq!(service[field], expected, "{field}");
        }
        assert_eq!(offered(looma, "web").await, ["web-1"]);
        let list = looma.admin().await.get("/nacos/v1/ns/instance/list?serviceName=web&healthyOnly=true").await.expect(200);
        assert_eq!((&list["hosts"][0]["ip"], &list["hosts"][0]["metadata"]["zone"], &list["hosts"][0]["weight"]), (&json!("10.0.0.7"), &json!("a"), &json!(3.0)));
    }

    /// A service comes back as it was sent, until somebody changes it otherwise.
    async fn nothing_is_lost_on_the_way_there_and_back(looma: TestServer) {
        let tags = json!(["b", "a", "k=v", "with space", "a"]);
        let meta = json!({"a key": "1", "k": "other", "version": "2"});
        register(looma, "web-1", json!({"Tags": tags, "Meta": meta, "Weights": {"Passing": 200, "Warning": 7}, "EnableTagOverride": true})).await;
        let shown = get(looma, "/agent/service/web-1").await;
        assert_eq!((&shown["Tags"], &shown["Meta"], &shown["Weights"], &shown["EnableTagOverride"]), (&tags, &meta, &json!({"Passing": 200, "Warning": 7}), &json!(true)));
        assert_eq!((&shown["ID"], &shown["Service"], &shown["Address"], &shown["Port"]), (&json!("web-1"), &json!("web"), &json!("10.0.0.7"), &json!(80)));
        assert_eq!(read(looma, "web-1").await["tags"], json!({"a": "", "b": "", "k": "other", "version": "2"}));
        looma.admin().await.patch("/services/web-1", &json!({"tags": {"version": "3"}, "weight": 500})).await.expect(200);
        let shown = get(looma, "/agent/service/web-1").await;
        assert_eq!((&shown["Meta"]["version"], &shown["Weights"]["Passing"]), (&json!("3"), &json!(5)));
    }

    /// A service with a TTL is critical until it passes, keeps what its checks say, and falls silent in its time.
    async fn checks_say_how_a_service_is(looma: TestServer) {
        register(looma, "web-1", json!({"Check": {"TTL": "10s", "Notes": "the web"}})).await;
        let health = |query: &'static str| get(looma, query);
        assert_eq!(health("/health/service/web?passing").await, json!([]));
        for (call, status, output) in [("pass", "passing", ""), ("warn", "warning", "slow"), ("fail", "critical", "gone"), ("pass", "passing", "")] {
            let note = if output.is_empty() { String::new() } else { format!("?note={output}") };
            assert_eq!(put(looma, &format!("/agent/check/{call}/service:web-1{note}"), &json!({})).await, 200);
            let list = health("/health/service/web").await;
            let check = &list[0]["Checks"][1];
            assert_eq!((check["Status"].as_str(), check["Output"].as_str(), check["CheckID"].as_str(), check["Notes"].as_str()),
                (Some(status), Some(output), Some("service:web-1"), Some("the web")), "{call}: {list}");
            assert_eq!(ids(&health("/health/service/web?passing=1").await).len(), usize::from(status == "passing"), "{call}");
        }
        assert_eq!(put(looma, "/agent/check/update/service:web-1", &json!({"Status": "warning", "Output": "half"})).await, 200);
        assert_eq!((read(looma, "web-1").await["health_status"].as_str(), read(looma, "web-1").await["health_reason"].as_str()), (Some("warning"), Some("half")));
        assert_eq!(put(looma, "/agent/check/update/service:web-1", &json!({"Status": "fine"})).await, 400);
        looma.live(11).await;
        assert_eq!(health("/health/service/web").await[0]["Checks"][1]["Status"], "critical");
        assert_eq!(put(looma, "/agent/check/pass/service:web-1", &json!({})).await, 200);
        looma.live(9).await;
        assert_eq!(put(looma, "/agent/check/pass/service:web-1", &json!({})).await, 200);
        looma.live(9).await;
        assert_eq!(offered(looma, "web").await, ["web-1"]);
        assert_eq!(put(looma, "/agent/check/pass/service:nobody", &json!({})).await, 404);
    }

    /// A check has the id that it was given; the first state may come with the registration.
    async fn checks_may_have_ids_and_a_first_state(looma: TestServer) {
        let checks = json!([{"CheckID": "beat", "Name": "the beat", "TTL": "10s", "Status": "passing"}, {"HTTP": "http://10.0.0.7:80/health?x", "Interval": "15s", "Timeout": "500ms"}]);
        register(looma, "web-1", json!({"checks": checks})).await;
        let service = read(looma, "web-1").await;
        assert_eq!((&service["ttl_seconds"], &service["health_status"]), (&json!(10), &json!("healthy")));
        assert_eq!(service["check"], json!({"kind": "http", "path": "/health?x", "interval_seconds": 15, "timeout_seconds": 1, "critical_after": 1}));
        let shown = get(looma, "/health/checks/web").await;
        let seen = |n: usize| (shown[n]["CheckID"].clone(), shown[n]["Name"].clone(), shown[n]["Type"].clone());
        assert_eq!((seen(0), seen(1)), ((json!("beat"), json!("the beat"), json!("ttl")), (json!("service:web-1:2"), json!("Service 'web' check"), json!("http"))));
        assert_eq!(put(looma, "/agent/check/fail/beat", &json!({})).await, 200);
        assert_eq!(get(looma, "/health/state/critical").await.as_array().unwrap().len(), 2, "a service has one health");
        assert_eq!(put(looma, "/agent/check/pass/service:web-1:2", &json!({})).await, 200);
        assert_eq!(get(looma, "/health/state/critical").await, json!([]));
        assert_eq!(get(looma, "/agent/checks").await["beat"]["Status"], "passing");
    }

    /// A check that the registry cannot make is refused rather than taken for another.
    async fn checks_that_cannot_be_made_are_refused(looma: TestServer) {
        for (check, why) in [
            (json!({"Args": ["sh", "-c", "true"], "Interval": "1s"}), "Scripts are disabled"),
            (json!({"Script": "true", "Interval": "1s"}), "Scripts are disabled"),
            (json!({"HTTP": "http://10.9.9.9:80/", "Interval": "1s"}), "not where the service answers"),
            (json!({"TCP": "10.0.0.7:81", "Interval": "1s"}), "not where the service answers"),
            (json!({"TTL": "soon"}), "invalid duration"),
            (json!({"HTTP": "http://10.0.0.7:80/", "Method": "POST"}), "method is nothing that checks of this server have"),
            (json!({"HTTP": "http://10.0.0.7:80/", "Header": {"Host": ["x"]}}), "header is nothing"),
            (json!({"HTTP": "https://10.0.0.7:80/", "TLSSkipVerify": true}), "tlsskipverify is nothing"),
            (json!({"GRPC": "10.0.0.7:80", "GRPCUseTLS": true}), "grpcusetls is nothing"),
            (json!({"TTL": "10s", "DeregisterCriticalServiceAfter": "late"}), "invalid duration"),
            (json!({"Name": "nothing"}), "TTL must be > 0"),
        ] {
            let body = json!({"Name": "web", "Address": "10.0.0.7", "Port": 80, "Check": check});
            let answer = looma.admin().await.put("/consul/v1/agent/service/register", &body).await;
            let said = String::from_utf8_lossy(&answer.bytes);
            assert!(answer.status == 400 && said.contains(why), "{body}: {} {said}", answer.status);
        }
        for (body, why) in [(json!({"ID": "x"}), "Missing service name"), (json!({"Name": "x", "Kind": "connect-proxy"}), "mesh"), (json!({"Name": "x", "Port": -1}), "Port"),
            (json!({"Name": "x", "ID": "a/b"}), "service_id"), (json!([]), "not an object")] {
            let answer = looma.admin().await.put("/consul/v1/agent/service/register", &body).await;
            assert!(answer.status == 400 && String::from_utf8_lossy(&answer.bytes).contains(why), "{body}: {answer:?}");
        }
        let other = json!({"Name": "web", "Address": "10.0.0.7", "Port": 80, "Meta": {"scheme": "http"}, "Check": {"HTTP": "https://10.0.0.7:80/"}});
        assert_eq!(put(looma, "/agent/service/register", &other).await, 400);
        for (kind, target, service) in [("TCP", "localhost:80", json!(null)), ("GRPC", "10.0.0.7:80/svc", json!("svc")), ("HTTP", "https://10.0.0.7:80", json!(null))] {
            register(looma, kind, json!({"Check": {kind: target, "Interval": "5s", "Method": "GET", "FailuresBeforeCritical": 4, "SuccessBeforePassing": 2}})).await;
            let shown = read(looma, kind).await;
            let check = &shown["check"];
            assert_eq!((&check["kind"], &check["grpc_service"], &check["critical_after"], &check["healthy_after"]), (&json!(kind.to_lowercase()), &service, &json!(4), &json!(2)));
            assert_eq!(shown["service_url"].as_str().unwrap().starts_with("https:"), kind == "HTTP", "{shown}");
        }
    }

    /// Maintenance shows as a critical check, whatever the service's own say, and ends when it is told to.
    async fn maintenance_is_a_critical_check(looma: TestServer) {
        register(looma, "web-1", json!({})).await;
        assert_eq!(put(looma, "/agent/service/maintenance/web-1?enable=true&reason=new+disk", &json!({})).await, 200);
        let list = get(looma, "/health/service/web").await;
        let check = &list[0]["Checks"][1];
        assert_eq!((&check["CheckID"], &check["Status"], &check["Notes"]), (&json!("_service_maintenance:web-1"), &json!("critical"), &json!("new disk")));
        assert_eq!((get(looma, "/health/service/web?passing").await, offered(looma, "web").await.len()), (json!([]), 0));
        assert_eq!(read(looma, "web-1").await["maintenance"]["reason"], "new disk");
        assert_eq!(put(looma, "/agent/service/maintenance/web-1?enable=false", &json!({})).await, 200);
        assert_eq!(ids(&get(looma, "/health/service/web?passing").await), ["web-1"]);
        assert_eq!(put(looma, "/agent/service/maintenance/web-1", &json!({})).await, 400);
        assert_eq!(put(looma, "/agent/service/maintenance/nobody?enable=true", &json!({})).await, 404);
    }

    /// The catalogue tells names with their tags, instances with their nodes, and forgets what is deregistered.
    async fn the_catalogue_tells_what_there_is(looma: TestServer) {
        register(looma, "web-1", json!({"Tags": ["v1", "blue"]})).await;
        register(looma, "web-2", json!({"Tags": ["v2", "blue"]})).await;
        native(looma, "ai-1", "ai", json!({"tags": {"zone": "a"}, "node_id": "n1"})).await;
        assert_eq!(get(looma, "/catalog/services").await, json!({"ai": ["zone=a"], "web": ["blue", "v1", "v2"]}));
        let found = |query: &'static str| async move {
            let list = get(looma, query).await;
            list.as_array().unwrap().iter().map(|one| one["ServiceID"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("/catalog/service/web").await, ["web-1", "web-2"]);
        assert_eq!(found("/catalog/service/web?tag=V2").await, ["web-2"]);
        assert_eq!(found("/catalog/service/web?tag=blue&tag=v1").await, ["web-1"]);
        assert_eq!(ids(&get(looma, "/health/service/web?tag=blue&tag=v2&passing").await), ["web-2"]);
        let one = &get(looma, "/catalog/service/ai").await[0];
        for (field, expected) in [("Node", json!("n1")), ("Address", json!("10.0.0.7")), ("ServiceAddress", json!("10.0.0.7")), ("ServicePort", json!(8002)),
            ("ServiceName", json!("ai")), ("ServiceTags", json!(["zone=a"])), ("ServiceMeta", json!({"zone": "a"})), ("Datacenter", json!("dc1"))] {
            assert_eq!(one[field], expected, "{field}");
        }
        assert_eq!(get(looma, "/agent/services").await.as_object().unwrap().len(), 3);
        assert_eq!(put(looma, "/agent/service/deregister/web-1", &json!({})).await, 200);
        assert_eq!(put(looma, "/agent/service/deregister/web-1", &json!({})).await, 404);
        assert_eq!(found("/catalog/service/web").await, ["web-2"]);
        assert_eq!(found("/catalog/service/nobody").await, [""; 0]);
    }

    /// Nodes are told with what runs on them; one that is drained or silent speaks against what runs on it.
    async fn nodes_speak_for_what_runs_on_them(looma: TestServer) {
        let node = json!({"node_id": "n1", "node_name": "n", "node_type": "worker", "host_address": "10.1.1.1", "port": 1, "ttl_seconds": 60, "tags": {"rack": "r1"}});
        looma.admin().await.post("/nodes", &node).await.expect(201);
        looma.admin().await.post("/nodes/n1/heartbeat", &json!({})).await.expect(204);
        register(looma, "web-1", json!({"Meta": {"node_id": "n1"}})).await;
        register(looma, "web-2", json!({})).await;
        let nodes = get(looma, "/catalog/nodes").await;
        let seen = |n: usize| (nodes[n]["Node"].as_str().unwrap(), nodes[n]["Address"].as_str().unwrap());
        assert_eq!((seen(0), seen(1)), (("looma", "127.0.0.1"), ("n1", "10.1.1.1")));
        assert_eq!(get(looma, "/catalog/nodes?node-meta=rack:r1").await.as_array().unwrap().len(), 1);
        assert_eq!(ids(&get(looma, "/health/service/web?node-meta=rack:r1").await), ["web-1"]);
        let on = get(looma, "/catalog/node/n1").await;
        assert_eq!((&on["Node"]["Meta"]["rack"], on["Services"].as_object().unwrap().len()), (&json!("r1"), 1));
        assert_eq!(get(looma, "/catalog/node/nobody").await, json!(null));
        assert_eq!(get(looma, "/health/node/n1").await[0]["CheckID"], "serfHealth");
        looma.admin().await.post("/nodes/n1/drain", &json!({})).await.expect(200);
        assert_eq!(get(looma, "/health/node/n1").await[1]["CheckID"], "_node_maintenance");
        assert_eq!(ids(&get(looma, "/health/service/web?passing").await), ["web-2"]);
        looma.live(61).await;
        let checks = get(looma, "/health/node/n1").await;
        assert_eq!((&checks[0]["CheckID"], &checks[0]["Status"]), (&json!("serfHealth"), &json!("critical")));
        let critical = get(looma, "/health/state/critical").await;
        assert_eq!(critical.as_array().unwrap().len(), 3, "{critical}");
        assert_eq!(looma.admin().await.get("/consul/v1/health/state/odd").await.status, 400);
    }

    /// The agent says what Prometheus and others ask of it before anything else.
    async fn the_agent_says_what_it_is(looma: TestServer) {
        let own = get(looma, "/agent/self").await;
        assert_eq!((&own["Config"]["Datacenter"], &own["Config"]["NodeName"], &own["Member"]["Addr"]), (&json!("dc1"), &json!("looma"), &json!("127.0.0.1")));
        assert_eq!(get(looma, "/catalog/datacenters").await, json!(["dc1"]));
        let leader = get(looma, "/status/leader").await;
        assert!(leader.as_str().unwrap().starts_with("127.0.0.1:"));
        assert_eq!(get(looma, "/status/peers").await, json!([leader]));
    }

    /// What Prometheus' discovery by Consul asks, as its client in Go asks it: an empty Basic beside the token, index and
    /// wait in milliseconds, stale answers allowed.
    async fn what_prometheus_asks_is_answered(looma: TestServer) {
        register(looma, "web-1", json!({"Tags": ["v1"], "Meta": {"zone": "a"}})).await;
        let token = looma.admin().await.token().unwrap().to_owned();
        let nobody = looma.anonymous();
        let ask = async |path: &str| {
            let request = nobody.request(reqwest::Method::GET, path).header("authorization", "Basic Og==").header("x-consul-token", &token);
            nobody.send(request).await
        };
        let datacenter = ask("/v1/agent/self").await.expect(200)["Config"]["Datacenter"].as_str().unwrap().to_owned();
        let names = ask(&format!("/v1/catalog/services?dc={datacenter}&stale=&wait=120000ms")).await;
        assert_eq!(names.json, json!({"web": ["v1"]}));
        let found = ask(&format!("/v1/health/service/web?dc={datacenter}&index=0&stale=&tag=v1&wait=120000ms")).await;
        for header in ["x-consul-index", "x-consul-lastcontact"] {
            found.header(header).unwrap().parse::<u64>().unwrap();
        }
        let one = &found.json[0];
        let (node, service) = (&one["Node"], &one["Service"]);
        assert_eq!((&node["Node"], &node["Address"], &node["Datacenter"]), (&json!("looma"), &json!("127.0.0.1"), &json!("dc1")));
        assert!(node["Meta"].is_object() && node["TaggedAddresses"].is_object() && service["TaggedAddresses"].is_object(), "{one}");
        assert_eq!((&service["ID"], &service["Address"], &service["Port"], &service["Tags"], &service["Meta"]), (&json!("web-1"), &json!("10.0.0.7"), &json!(80), &json!(["v1"]), &json!({"zone": "a"})));
        assert!(one["Checks"].as_array().unwrap().iter().all(|check| check["Status"] == "passing"), "{one}");
    }

    /// What would make an answer a wrong one is refused rather than passed over.
    async fn what_is_not_understood_is_refused(looma: TestServer) {
        let admin = looma.admin().await;
        for (query, status) in [("dc=dc1", 200), ("dc=dc2", 404), ("filter=Port%3D%3D1", 400), ("index=x", 400), ("index=1&wait=soon", 400), ("passing=perhaps", 400), ("passing=false", 200)] {
            admin.get(&format!("/consul/v1/health/service/web?{query}")).await.expect(status);
        }
    }
}
