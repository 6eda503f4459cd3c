//! Talents, skills, companies, projects, and what belongs to them.

mod lists;
mod parts;
mod recommendations;
mod resources;

use looma_tests::Client;
use serde_json::{Value, json};

/// Makes one, and gives its key.
pub async fn made(client: &Client, path: &str, body: Value) -> String {
    let answer = client.post(path, &body).await;
    let location = answer.header("location").unwrap_or_default().to_owned();
    let made = answer.expect(201);
    let key = location.rsplit('/').next().unwrap().to_owned();
    assert_eq!(location, format!("/api/v1{path}/{key}"));
    assert!(made.as_object().unwrap().values().any(|value| *value == key), "{made}");
    key
}

/// A talent with this name.
pub async fn talent(client: &Client, name: &str) -> String {
    made(client, "/talents", json!({"name": name})).await
}

/// A skill with this name.
pub async fn skill(client: &Client, name: &str) -> String {
    made(client, "/skills", json!({"name": name})).await
}

/// One field of every item of a list, in order.
pub fn column(list: &Value, field: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item[field].as_str().unwrap_or_else(|| panic!("no {field} in {item}")).to_owned()).collect()
}
