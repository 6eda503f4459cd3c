//! Each call of Nacos' v1 HTTP.

use looma_tests::{Answer, Client, TestServer, both_databases};
use reqwest::Method;
use serde_json::{Value, json};

use super::{native, offered, read};

/// One call, by form or by query.
async fn call(client: &Client, method: Method, path: &str) -> Answer {
    client.send(client.request(method, &format!("/nacos/v1{path}"))).await
}

/// A call that answers `ok`.
async fn ok(looma: &TestServer, method: Method, path: &str) {
    let answer = call(looma.admin().await, method, path).await;
    assert_eq!((answer.status, String::from_utf8_lossy(&answer.bytes).as_ref()), (200, "ok"), "{path}");
}

/// A call that answers with JSON.
async fn get(looma: &TestServer, path: &str) -> Value {
    call(looma.admin().await, Method::GET, path).await.expect(200)
}

async fn beat(looma: &TestServer, query: &str) -> Value {
    call(looma.admin().await, Method::PUT, &format!("/ns/instance/beat?{query}")).await.expect(200)
}

fn hosts(list: &Value) -> Vec<String> {
    list["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| format!("{}:{}", host["ip"].as_str().unwrap(), host["port"]))
        .collect()
}

const ID: &str = "10.0.0.7#8002#DEFAULT#DEFAULT_GROUP@@x";

both_databases! {
    /// What Nacos registers is a service of the registry at once, healthy, and found by every other way.
    async fn an_instance_is_a_service(looma: TestServer) {
        let body = r#"serviceName=x&ip=10.0.0.7&port=8002&weight=2.5&clusterName=hz&metadata={"zone":"a","service_type":"ai-service","node_id":"n1"}"#;
        let admin = looma.admin().await;
        let form = admin.request(Method::POST, "/nacos/v1/ns/instance").header("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
        assert_eq!(admin.send(form.body(body)).await.bytes, b"ok");
        let service = read(looma, "10.0.0.7#8002#hz#DEFAULT_GROUP@@x").await;
        for (field, expected) in [("service_name", json!("x")), ("service_type", json!("ai-service")), ("node_id", json!("n1")), ("cluster_id", json!("hz")),
            ("service_url", json!("http://10.0.0.7:8002")), ("weight", json!(250)), ("ttl_seconds", json!(15)), ("health_status", json!("healthy")),
            ("status", json!("active")), ("config", json!({})), ("tags", json!({"zone": "a", "service_type": "ai-service", "node_id": "n1"}))] {
            assert_eq!(service[field], expected, "{field}");
        }
        assert_eq!(offered(looma, "x").await.len(), 1);
        let consul = admin.get("/consul/v1/health/service/x?passing").await.expect(200);
        assert_eq!((&consul[0]["Service"]["Address"], &consul[0]["Service"]["Port"], &consul[0]["Service"]["Meta"]["zone"]), (&json!("10.0.0.7"), &json!(8002), &json!("a")));
    }

    /// A list has the fields that clients read; names may carry the group.
    async fn a_list_is_as_clients_read_it(looma: TestServer) {
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&metadata=a%3Db%2Cc%3Dd").await;
        let list = get(looma, "/ns/instance/list?serviceName=DEFAULT_GROUP@@x&clusters=DEFAULT").await;
        for (field, expected) in [("name", "DEFAULT_GROUP@@x"), ("dom", "DEFAULT_GROUP@@x"), ("groupName", "DEFAULT_GROUP"), ("clusters", "DEFAULT")] {
            assert_eq!(list[field], expected, "{list}");
        }
        assert!(list["cacheMillis"].as_i64().unwrap() >= 1000 && list["lastRefTime"].as_i64().unwrap() > 0, "{list}");
        let expected = json!({"instanceId": ID, "ip": "10.0.0.7", "port": 8002, "weight": 1.0, "healthy": true, "enabled": true, "ephemeral": true,
            "clusterName": "DEFAULT", "serviceName": "DEFAULT_GROUP@@x", "metadata": {"a": "b", "c": "d"}, "valid": true, "marked": false,
            "instanceHeartBeatInterval": 5000, "instanceHeartBeatTimeOut": 15000});
        assert_eq!(list["hosts"], json!([expected]));
        assert_eq!(get(looma, "/ns/instance/list?serviceName=nobody").await["hosts"], json!([]));
    }

    /// Silence makes an instance unhealthy in its time; whoever asks for healthy ones is not shown it; a beat brings it back.
    async fn silence_is_shown_and_a_beat_ends_it(looma: TestServer) {
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002").await;
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.8&port=8002&metadata=%7B%22preserved.heart.beat.timeout%22%3A%2260000%22%2C%22preserved.heart.beat.interval%22%3A%2220000%22%7D").await;
        looma.live(16).await;
        let healthy = get(looma, "/ns/instance/list?serviceName=x&healthyOnly=true").await;
        assert_eq!(hosts(&healthy), ["10.0.0.8:8002"]);
        let all = get(looma, "/ns/instance/list?serviceName=x").await;
        assert_eq!((hosts(&all).len(), &all["hosts"][0]["healthy"]), (2, &json!(false)));
        let light = beat(looma, "serviceName=DEFAULT_GROUP@@x&ip=10.0.0.7&port=8002").await;
        assert_eq!(light, json!({"code": 10200, "clientBeatInterval": 5000, "lightBeatEnabled": true}));
        assert_eq!(beat(looma, "serviceName=x&ip=10.0.0.8&port=8002").await["clientBeatInterval"], 20000);
        assert_eq!(hosts(&get(looma, "/ns/instance/list?serviceName=x&healthyOnly=true").await).len(), 2);
    }

    /// A light beat of an instance that is not there is told to register; a full one says enough to be registered by.
    async fn a_beat_of_nobody_leads_to_a_registration(looma: TestServer) {
        let light = beat(looma, "serviceName=x&ip=10.0.0.7&port=8002").await;
        assert_eq!(light["code"], 20404);
        assert!(offered(looma, "x").await.is_empty());
        let full = r#"{"ip":"10.0.0.7","port":8002,"serviceName":"DEFAULT_GROUP@@x","cluster":"DEFAULT","weight":2.0,"metadata":{"a":"b"},"scheduled":false}"#;
        let admin = looma.admin().await;
        let request = admin.request(Method::PUT, "/nacos/v1/ns/instance/beat").query(&[("serviceName", "DEFAULT_GROUP@@x"), ("beat", full)]);
        assert_eq!(admin.send(request).await.expect(200)["code"], 10200);
        let service = read(looma, ID).await;
        assert_eq!((&service["weight"], &service["tags"], &service["health_status"]), (&json!(200), &json!({"a": "b"}), &json!("healthy")));
        ok(looma, Method::DELETE, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&ephemeral=true").await;
        assert_eq!(beat(looma, "serviceName=x&ip=10.0.0.7&port=8002").await["code"], 20404);
    }

    /// A change keeps what it does not say; a disabled instance is listed to nobody and offered to nobody, beat as it may.
    async fn a_change_keeps_what_it_does_not_say(looma: TestServer) {
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&metadata=a%3Db").await;
        ok(looma, Method::PUT, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&weight=3").await;
        let service = read(looma, ID).await;
        assert_eq!((&service["weight"], &service["tags"]), (&json!(300), &json!({"a": "b"})));
        ok(looma, Method::PATCH, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&enabled=False").await;
        beat(looma, "serviceName=x&ip=10.0.0.7&port=8002").await;
        assert_eq!(get(looma, "/ns/instance/list?serviceName=x").await["hosts"], json!([]));
        assert_eq!(get(looma, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002").await["enabled"], false);
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&enabled=true&weight=3&metadata=a%3Db").await;
        assert_eq!((read(looma, ID).await["status"].as_str(), offered(looma, "x").await.len()), (Some("inactive"), 0));
        ok(looma, Method::PUT, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&enabled=true&metadata=%7B%7D").await;
        let service = read(looma, ID).await;
        assert_eq!((&service["status"], &service["weight"], &service["tags"]), (&json!("active"), &json!(300), &json!({})));
        let refused = call(looma.admin().await, Method::PUT, "/ns/instance?serviceName=x&ip=10.0.0.9&port=1").await;
        assert_eq!(refused.status, 400);
        assert_eq!(String::from_utf8_lossy(&refused.bytes), "caused: instance not exist: 10.0.0.9#1#DEFAULT#DEFAULT_GROUP@@x;");
    }

    /// A persistent instance lives without beats, in the health that it was registered with.
    async fn a_persistent_instance_needs_no_beats(looma: TestServer) {
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002&ephemeral=false").await;
        ok(looma, Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.8&port=8002&ephemeral=false&healthy=false").await;
        let service = read(looma, ID).await;
        assert_eq!((&service["ttl_seconds"], &service["check"]["kind"]), (&json!(0), &json!("tcp")));
        let list = get(looma, "/ns/instance/list?serviceName=x").await;
        let seen = |n: usize| (list["hosts"][n]["ephemeral"].clone(), list["hosts"][n]["healthy"].clone());
        assert_eq!((seen(0), seen(1)), ((json!(false), json!(true)), (json!(false), json!(false))));
    }

    /// Clusters, groups and namespaces keep instances apart, and have names in the registry that say so.
    async fn clusters_groups_and_namespaces_keep_apart(looma: TestServer) {
        for (place, port) in [("", 1), ("&clusterName=c1", 2), ("&clusterName=c2", 3), ("&groupName=g", 4), ("&namespaceId=n", 5), ("&namespaceId=public", 6)] {
            ok(looma, Method::POST, &format!("/ns/instance?serviceName=x&ip=10.0.0.7&port={port}{place}")).await;
        }
        for (query, expected) in [("", vec![1, 2, 3, 6]), ("&clusters=c1", vec![2]), ("&clusters=c1,DEFAULT", vec![1, 2, 6]), ("&groupName=g", vec![4]),
            ("&namespaceId=n", vec![5]), ("&namespaceId=n&groupName=g", vec![])] {
            let list = get(looma, &format!("/ns/instance/list?serviceName=x{query}")).await;
            let mut ports: Vec<_> = list["hosts"].as_array().unwrap().iter().map(|host| host["port"].as_i64().unwrap()).collect();
            ports.sort_unstable();
            assert_eq!(ports, expected, "{query}");
        }
        assert_eq!((offered(looma, "g@@x").await.len(), offered(looma, "n@@DEFAULT_GROUP@@x").await.len()), (1, 1));
        let names = async |query: &str| get(looma, &format!("/ns/service/list?pageNo=1&pageSize=10{query}")).await;
        assert_eq!(names("").await, json!({"count": 1, "doms": ["x"]}));
        assert_eq!(names("&groupName=g").await, json!({"count": 1, "doms": ["x"]}));
        assert_eq!(names("&namespaceId=n").await, json!({"count": 1, "doms": ["x"]}));
        assert_eq!(names("&namespaceId=m").await, json!({"count": 0, "doms": []}));
        let known = get(looma, "/console/namespaces").await;
        let ids: Vec<_> = known["data"].as_array().unwrap().iter().map(|one| (one["namespace"].as_str().unwrap(), one["namespaceShowName"].as_str().unwrap())).collect();
        assert_eq!((known["code"].as_i64(), ids), (Some(200), vec![("", "public"), ("n", "n")]));
        let metrics = get(looma, "/ns/operator/metrics").await;
        assert_eq!((&metrics["status"], &metrics["serviceCount"], &metrics["instanceCount"]), (&json!("UP"), &json!(3), &json!(6)));
    }

    /// Names come a page at a time.
    async fn names_come_in_pages(looma: TestServer) {
        for name in ["c", "a", "b"] {
            ok(looma, Method::POST, &format!("/ns/instance?serviceName={name}&ip=10.0.0.7&port=1")).await;
        }
        assert_eq!(get(looma, "/ns/service/list?pageNo=2&pageSize=2").await, json!({"count": 3, "doms": ["c"]}));
    }

    /// A service that registered itself otherwise is an instance: listed, read, beaten, changed and taken away by its address.
    async fn what_registered_otherwise_is_an_instance(looma: TestServer) {
        native(looma, "ai-1", "x", json!({"tags": {"zone": "a"}, "weight": 50, "cluster_id": "main", "service_url": "https://10.0.0.9/base"})).await;
        let list = get(looma, "/ns/instance/list?serviceName=x&healthyOnly=true").await;
        let host = &list["hosts"][0];
        assert_eq!((hosts(&list), &host["weight"], &host["metadata"], &host["clusterName"]), (vec!["10.0.0.9:443".to_owned()], &json!(0.5), &json!({"zone": "a"}), &json!("main")));
        let at = "serviceName=x&ip=10.0.0.9&port=443&clusterName=main";
        assert_eq!(get(looma, &format!("/ns/instance?{at}")).await["instanceId"], "10.0.0.9#443#main#DEFAULT_GROUP@@x");
        looma.live(16).await;
        assert_eq!(beat(looma, at).await["code"], 10200);
        ok(looma, Method::PUT, &format!("/ns/instance?{at}&weight=0.25")).await;
        let service = read(looma, "ai-1").await;
        assert_eq!((&service["weight"], &service["health_status"], &service["service_url"]), (&json!(25), &json!("healthy"), &json!("https://10.0.0.9/base")));
        ok(looma, Method::DELETE, &format!("/ns/instance?{at}")).await;
        looma.admin().await.get("/services/ai-1").await.expect(404);
    }

    /// Metadata and weights that the registry has no place for come back as they were, until somebody changes them there.
    async fn nothing_is_lost_on_the_way_there_and_back(looma: TestServer) {
        let odd = json!({"a key": "with a space", "long": "x".repeat(600), "plain": "1", "empty": ""});
        let admin = looma.admin().await;
        let request = admin.request(Method::POST, "/nacos/v1/ns/instance").query(&[("serviceName", "x"), ("ip", "10.0.0.7"), ("port", "8002"), ("weight", "0.333"), ("metadata", &odd.to_string())]);
        assert_eq!(admin.send(request).await.bytes, b"ok");
        let shown = get(looma, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002").await;
        assert_eq!((&shown["metadata"], &shown["weight"]), (&odd, &json!(0.333)));
        let service = read(looma, ID).await;
        assert_eq!((&service["tags"], &service["weight"]), (&json!({"plain": "1", "empty": ""}), &json!(33)));
        admin.patch(&format!("/services/{}", ID.replace('#', "%23")), &json!({"weight": 40, "tags": {"new": "2"}})).await.expect(200);
        let shown = get(looma, "/ns/instance?serviceName=x&ip=10.0.0.7&port=8002").await;
        assert_eq!((&shown["metadata"]["new"], &shown["weight"]), (&json!("2"), &json!(0.4)));
    }

    /// What is missing or wrong is told in Nacos' words.
    async fn faults_are_told_in_their_words(looma: TestServer) {
        let admin = looma.admin().await;
        let told = async |method: Method, path: &str| {
            let answer = call(admin, method, path).await;
            (answer.status, String::from_utf8(answer.bytes).unwrap())
        };
        assert_eq!(told(Method::GET, "/ns/instance/list").await, (400, "caused: Param 'serviceName' is required.;".to_owned()));
        assert_eq!(told(Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7").await, (400, "caused: Param 'port' is required.;".to_owned()));
        assert_eq!(told(Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=99999").await.0, 400);
        assert_eq!(told(Method::POST, "/ns/instance?serviceName=x&ip=10.0.0.7&port=1&weight=10001").await.0, 400);
        assert_eq!(told(Method::POST, "/ns/instance?serviceName=x&ip=a%20b&port=1").await.0, 400);
        assert_eq!(told(Method::POST, "/ns/instance?serviceName=a%2Fb&ip=10.0.0.7&port=1").await.0, 400);
        assert_eq!(told(Method::PUT, "/ns/instance/beat?serviceName=x&beat=%7B").await.0, 400);
        assert_eq!(told(Method::GET, "/ns/instance?serviceName=x&ip=10.0.0.7&port=1").await.0, 404);
        assert_eq!(told(Method::DELETE, "/ns/instance?serviceName=x&ip=10.0.0.7&port=1").await, (200, "ok".to_owned()));
    }
}
