//! Real clients of other systems, against this server.

use looma_tests::{ADMIN_PASSWORD, TestServer, both_databases, eventually, peers};
use serde_json::{Value, json};

use super::{native, offered, read};

fn address(looma: &TestServer) -> String {
    looma.running.address.to_string()
}

/// A token that may read and write services.
async fn token(looma: &TestServer) -> String {
    let new = json!({"name": "client", "scopes": ["services:read", "services:write"]});
    let made = looma.admin().await.post("/tokens", &new).await.expect(201);
    made["token"].as_str().unwrap().to_owned()
}

/// Each field of what a client saw.
fn expect(seen: &Value, expected: &[(&str, Value)]) {
    for (field, value) in expected {
        assert_eq!(seen[*field], *value, "{field} of {seen}");
    }
}

both_databases! {
    /// The Nacos client in Python registers, lists, beats, changes, is told, and takes away.
    async fn nacos_sdk_python(looma: TestServer) {
        native(looma, "n-1", "native", json!({"service_url": "http://10.0.0.20:1"})).await;
        let Some(seen) = peers::python("nacos_client.py", &[&address(looma), "admin", ADMIN_PASSWORD]).await else { return };
        expect(&seen, &[
            ("register", json!(true)), ("register_plain", json!(true)), ("in_cluster", json!(["10.0.0.7"])), ("beat", json!(10200)),
            ("hosts", json!([["10.0.0.7", "c1", 2.0, true, "a"], ["10.0.0.8", "DEFAULT", 1.0, true, null]])),
            ("detail", json!("10.0.0.7#8002#c1#DEFAULT_GROUP@@py")), ("modify", json!(true)), ("weight", json!(3.0)), ("native", json!(["10.0.0.20"])),
            ("events", json!([["ADDED", "10.0.0.9"], ["DELETED", "10.0.0.9"]])), ("remove", json!(true)), ("left", json!(["10.0.0.7"])),
            ("stranger", json!("HTTP Error 403: Forbidden")),
        ]);
        assert_eq!(read(looma, "10.0.0.7#8002#c1#DEFAULT_GROUP@@py").await["tags"], json!({"zone": "a"}));
        assert_eq!(offered(looma, "py").await.len(), 1);
    }

    /// The Nacos client of npm sends name and password with each request; it registers, finds, is told, and takes away.
    async fn nacos_of_npm(looma: TestServer) {
        native(looma, "n-1", "native", json!({"service_url": "http://10.0.0.20:1"})).await;
        let Some(seen) = peers::node("nacos_client.js", &[&address(looma), "admin", ADMIN_PASSWORD]).await else { return };
        expect(&seen, &[
            ("status", json!("UP")), ("hosts", json!([["10.0.0.7", 8002, 2, true, "a"]])), ("selected", json!(1)), ("native", json!(["10.0.0.20"])),
            ("told", json!(["10.0.0.7", "10.0.0.8"])), ("names", json!(["js", "native"])), ("beat", json!(5000)), ("left", json!(["10.0.0.7"])), ("stranger", json!("DOWN")),
        ]);
        assert_eq!(offered(looma, "js").await, ["10.0.0.7#8002#DEFAULT#DEFAULT_GROUP@@js"]);
    }

    /// The Consul client in Python registers, checks, finds, waits and takes away.
    async fn py_consul(looma: TestServer) {
        native(looma, "n-1", "native", json!({"service_url": "http://10.0.0.20:1"})).await;
        let Some(seen) = peers::python("consul_client.py", &[&address(looma), &token(looma).await]).await else { return };
        expect(&seen, &[
            ("register", json!(true)), ("before", json!([])), ("pass", json!(true)),
            ("found", json!(["py-web-1", "10.0.0.7", 80, ["v1", "k=v"], {"zone": "a"}, 2])), ("by_tag", json!(["py-web-1"])), ("names", json!(["native", "py-web"])),
            ("native", json!(["10.0.0.20"])), ("agent", json!(["n-1", "py-web-1"])), ("datacenter", json!("dc1")), ("datacenters", json!(["dc1"])),
            ("nodes", json!(["looma"])), ("checks", json!(["passing"])), ("warn", json!(true)), ("told", json!([true, "warning", "slow"])), ("maintenance", json!(true)),
            ("maintained", json!(["service:py-web-1", "_service_maintenance:py-web-1"])), ("maintenance_over", json!(true)), ("deregister", json!(true)),
            ("left", json!(["py-web-2"])),
        ]);
        assert!(seen["stranger"].as_str().unwrap().starts_with("Permission denied"), "{seen}");
        assert_eq!(offered(looma, "py-web").await, ["py-web-2"]);
    }

    /// The Consul client of npm registers, checks, finds, watches and takes away.
    async fn consul_of_npm(looma: TestServer) {
        native(looma, "n-1", "native", json!({"service_url": "http://10.0.0.20:1"})).await;
        let Some(seen) = peers::node("consul_client.js", &[&address(looma), &token(looma).await]).await else { return };
        expect(&seen, &[
            ("changes", json!([[], ["js-web-1"]])), ("found", json!(["10.0.0.7", 80, ["v1"], {"zone": "a"}])), ("names", json!(["js-web", "native"])),
            ("native", json!(["10.0.0.20"])), ("nodes", json!(["looma"])), ("datacenter", json!("dc1")), ("agent", json!(["js-web-1", "n-1"])),
            ("failed", json!([["critical", "gone"]])), ("maintained", json!(2)), ("left", json!([])), ("stranger", json!(403)),
        ]);
    }

    /// Prometheus finds what Consul's clients have registered by HTTP discovery, scrapes it, and is told when it goes. Debian's
    /// package leaves out discovery by Consul: what that asks is asked in `consul`.
    async fn prometheus(looma: TestServer) {
        let port = looma.running.address.port();
        let service = json!({"Name": "web", "ID": "web-1", "Address": "127.0.0.1", "Port": port, "Tags": ["v1", "blue"], "Meta": {"zone": "a"}});
        let admin = looma.admin().await;
        admin.put("/v1/agent/service/register", &service).await.expect(200);
        let (address, token) = (address(looma), token(looma).await);
        let config = format!("
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: http
    http_sd_configs: [{{url: 'http://{address}/api/v1/prometheus/targets', refresh_interval: 1s, authorization: {{type: Bearer, credentials: '{token}'}}}}]
    relabel_configs:
      - {{action: labelmap, regex: __meta_looma_(.+), replacement: 'looma_$1'}}
");
        let Some(prometheus) = peers::Prometheus::start(&config).await else { return };
        let up = async || prometheus.targets().await.into_iter().find(|target| target["health"] == "up");
        let target = eventually("target that is up", up).await;
        let labels = &target["labels"];
        for (label, expected) in [("service_id", "web-1"), ("service_name", "web"), ("looma_tag_zone", "a"), ("looma_health_status", "healthy")] {
            assert_eq!(labels[label], expected, "{label} of {labels}");
        }
        admin.put("/v1/agent/service/deregister/web-1", &json!({})).await.expect(200);
        eventually("end of the target", async || prometheus.targets().await.is_empty().then_some(())).await;
    }
}
