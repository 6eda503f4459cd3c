//! The registry as clients of Nacos and of Consul know it.

mod access;
mod clients;
mod consul;
mod dns;
mod health;
mod nacos;
mod waiting;

use looma_tests::TestServer;
use serde_json::{Value, json};

/// Registers a service by the registry's own way and has it beat once.
async fn native(looma: &TestServer, id: &str, name: &str, fields: Value) -> Value {
    let mut service = json!({"service_id": id, "service_name": name, "service_type": "t", "service_url": "http://10.0.0.7:8002", "ttl_seconds": 15});
    service.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    looma.admin().await.post("/services", &service).await.expect(201);
    looma.admin().await.post(&format!("/services/{id}/heartbeat"), &json!({})).await.expect(204);
    read(looma, id).await
}

/// A service, as the registry itself shows it.
async fn read(looma: &TestServer, id: &str) -> Value {
    looma.admin().await.get(&format!("/services/{}", id.replace('#', "%23"))).await.expect(200)
}

/// The ids that the registry offers of a name.
async fn offered(looma: &TestServer, name: &str) -> Vec<String> {
    let found = looma.admin().await.get(&format!("/discovery/{name}?healthy=true")).await.expect(200);
    let items = found["items"].as_array().unwrap();
    items.iter().map(|item| item["service_id"].as_str().unwrap().to_owned()).collect()
}
