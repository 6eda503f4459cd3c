//! Who may do what: every operation of the document is tried by everybody, and answers as the document says.

use std::{collections::BTreeMap, path::Path};

use looma::http::auth::{Role, Scope};
use looma_tests::{ADMIN_PASSWORD, Client, Store, TestServer};
use reqwest::Method;
use serde_json::{Value, json};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

struct Operation {
    method: Method,
    path: String,
    /// What the document says of it.
    says: Value,
}

impl Operation {
    fn access(&self) -> &str {
        self.says["x-looma-access"].as_str().unwrap_or("")
    }

    /// The status that somebody gets who sends a body without anything in it, for a thing that is not there.
    async fn status_for(&self, client: &Client) -> u16 {
        let mut request = client.request(self.method.clone(), &self.path);
        if self.method != Method::GET && self.method != Method::DELETE {
            request = request.json(&json!({}));
        }
        // The body is not read: some of them never end.
        request.send().await.unwrap().status().as_u16()
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({})", self.method, self.path, self.access())
    }
}

/// Every operation, with something for its path's parameters; signing out last, since it ends the session that tries it.
async fn operations(looma: &TestServer) -> Vec<Operation> {
    let document = looma.anonymous().get("/api/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "none" } else { segment });
        let path = segments.collect::<Vec<_>>().join("/");
        for (method, says) in methods.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            operations.push(Operation { method, path: path.clone(), says: says.clone() });
        }
    }
    assert!(operations.len() > 20, "{}", operations.len());
    operations.sort_by_key(|operation| operation.path.ends_with("/auth/logout"));
    operations
}

async fn token(owner: &Client, scopes: impl Iterator<Item = Scope>) -> Client {
    let new = json!({"name": "try", "scopes": scopes.collect::<Vec<_>>()});
    let made = owner.post("/tokens", &new).await.expect(201);
    Client::new(owner.base().to_owned(), Some(made["token"].as_str().unwrap().to_owned()))
}

/// Tokens with one scope alone, and with every other one.
async fn tokens(owner: &Client) -> BTreeMap<Scope, (Client, Client)> {
    let mut tokens = BTreeMap::new();
    for scope in Scope::ALL.iter().copied() {
        let alone = token(owner, [scope].into_iter()).await;
        let others = token(owner, Scope::ALL.iter().copied().filter(|other| *other != scope)).await;
        tokens.insert(scope, (alone, others));
    }
    tokens
}

/// Whether somebody who signed in may, by what the document says.
fn role_may(access: &str, role: Role) -> bool {
    match access {
        "public" | "any" | "signed in" => true,
        "admin" => role == Role::Admin,
        scope if scope.ends_with(":read") => true,
        _ => role >= Role::Operator,
    }
}

fn refused(status: u16) -> bool {
    status == 401 || status == 403
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_says_who_may_use_it() {
    let looma = TestServer::start(Store::sqlite()).await;
    let known =
        |access: &str| ["public", "any", "signed in", "admin"].contains(&access) || access.parse::<Scope>().is_ok();
    let mut faults = Vec::new();
    for operation in operations(&looma).await {
        if !known(operation.access()) {
            faults.push(format!("{operation}: x-looma-access is none of public, any, signed in, admin, or a scope"));
        }
        if operation.says["tags"].as_array().is_none_or(Vec::is_empty) {
            faults.push(format!("{operation}: has no tag"));
        }
        if operation.says["summary"].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{operation}: has no summary"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    looma.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_a_good_token() {
    let looma = TestServer::start(Store::sqlite()).await;
    let strangers = [
        ("no token", looma.anonymous()),
        ("a wrong access token", looma.with_token("eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl")),
        ("a wrong API token", looma.with_token("looma_wrong")),
    ];
    let mut faults = Vec::new();
    for operation in operations(&looma).await {
        for (name, stranger) in &strangers {
            let status = operation.status_for(stranger).await;
            if (operation.access() == "public" && refused(status)) || (operation.access() != "public" && status != 401)
            {
                faults.push(format!("{operation}: {status} with {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    looma.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_what_the_document_says() {
    let looma = TestServer::start(Store::sqlite()).await;
    let roles = [
        (Role::Viewer, looma.viewer().await),
        (Role::Operator, looma.operator().await),
        (Role::Admin, looma.admin().await),
    ];
    let mut faults = Vec::new();
    for operation in operations(&looma).await {
        for (role, client) in roles {
            let status = operation.status_for(client).await;
            let expected = role_may(operation.access(), role);
            if status == 401 || (status == 403) == expected {
                faults.push(format!("{operation}: {status} for the role {role}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    looma.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_token_may_what_its_scopes_say() {
    let looma = TestServer::start(Store::sqlite()).await;
    // The tokens of an administrator: what they may not is not for want of a role.
    let owner = looma.sign_in("admin", ADMIN_PASSWORD).await;
    let (none, tokens) = (token(&owner, [].into_iter()).await, tokens(&owner).await);
    let mut faults = Vec::new();
    for operation in operations(&looma).await {
        let open = ["public", "any"].contains(&operation.access());
        let mut tries = vec![("no scope", &none, open)];
        if let Some((alone, others)) = operation.access().parse().ok().and_then(|scope: Scope| tokens.get(&scope)) {
            tries.extend([("that scope alone", alone, true), ("every other scope", others, false)]);
        }
        for (name, client, expected) in tries {
            let status = operation.status_for(client).await;
            if status == 401 || (status == 403) == expected {
                faults.push(format!("{operation}: {status} with a token that has {name}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    looma.stop().await;
}

/// The document in the repository is the one that is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_the_one_in_the_repository() {
    let looma = TestServer::start(Store::sqlite()).await;
    let served = looma.anonymous().get("/api/openapi.json").await.expect(200);
    let text = std::fs::read_to_string(Path::new(SNAPSHOT)).unwrap_or_default();
    let kept: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut differ = Vec::new();
    differences("", &kept, &served, &mut differ);
    let advice = "the API is not the one in host/openapi.json; if it should be: looma openapi > host/openapi.json";
    assert!(differ.is_empty(), "{advice}\n{}", differ[..differ.len().min(20)].join("\n"));
    looma.stop().await;
}

fn differences(at: &str, kept: &Value, served: &Value, into: &mut Vec<String>) {
    match (kept, served) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                differences(&format!("{at}/{key}"), &kept[key], &served[key], into);
            }
        }
        _ if kept != served => into.push(format!("at {at}")),
        _ => {}
    }
}
