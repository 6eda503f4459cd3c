//! Who changed what.

use std::time::Duration;

use looma_tests::{ADMIN_PASSWORD, Client, both_databases};
use reqwest::Method;
use serde_json::{Value, json};

async fn make(admin: &Client, username: &str) -> String {
    let user = json!({"username": username, "password": ADMIN_PASSWORD, "role": "viewer"});
    admin.post("/users", &user).await.expect(201)["user_id"].as_str().unwrap().to_owned()
}

fn actions(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

both_databases! {
    /// A change leaves who, what, before, after, from where, in which request and when.
    async fn a_change_leaves_an_entry(looma: TestServer) {
        let admin = looma.admin().await;
        let id = make(admin, "ann").await;
        looma.advance(Duration::from_secs(1));
        let request = admin.request(Method::PATCH, &format!("/users/{id}")).header("x-request-id", "my-request");
        admin.send(request.json(&json!({"role": "operator"}))).await.expect(200);
        let page = admin.get("/audit-logs?request_id=my-request").await.expect(200);
        assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
        let entry = page["items"][0].clone();
        let fields: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        let known = ["action", "actor", "after", "audit_id", "before", "created_at", "request_id", "resource_id",
            "resource_type", "source"];
        assert_eq!(fields, known);
        let me = admin.get("/auth/me").await.expect(200);
        assert_eq!(entry["actor"], format!("user:{}", me["user_id"].as_str().unwrap()));
        assert_eq!((&entry["action"], &entry["resource_type"]), (&json!("update"), &json!("users")));
        assert_eq!((&entry["resource_id"], &entry["source"]), (&json!(id), &json!("127.0.0.1")));
        assert_eq!((&entry["before"]["role"], &entry["after"]["role"]), (&json!("viewer"), &json!("operator")));
        assert_eq!(entry["created_at"], "2026-01-01T00:00:01.000Z");
        let made = admin.get(&format!("/audit-logs?resource_type=users&resource_id={id}&action=create")).await.expect(200);
        assert_eq!((&made["items"][0]["before"], &made["items"][0]["after"]["username"]), (&Value::Null, &json!("ann")));
    }

    /// What is refused leaves nothing.
    async fn what_is_refused_leaves_nothing(looma: TestServer) {
        let admin = looma.admin().await;
        let before = admin.get("/audit-logs").await.expect(200);
        admin.post("/users", &json!({"username": "admin", "password": ADMIN_PASSWORD, "role": "viewer"})).await.expect(409);
        let me = admin.get("/auth/me").await.expect(200);
        admin.delete(&format!("/users/{}", me["user_id"].as_str().unwrap())).await.expect(409);
        assert_eq!(admin.get("/audit-logs").await.expect(200), before);
    }

    /// No password, nor its hash, is in the audit.
    async fn the_audit_holds_no_password(looma: TestServer) {
        let admin = looma.admin().await;
        let id = make(admin, "ann").await;
        admin.put(&format!("/users/{id}/password"), &json!({"password": "a-password-to-look-for"})).await.expect(204);
        let all = admin.get("/audit-logs").await;
        let text = String::from_utf8_lossy(&all.bytes).into_owned();
        assert_eq!(actions(&all.json)[..2], ["password", "create"]);
        for secret in ["a-password-to-look-for", ADMIN_PASSWORD, "argon2", "hash"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }

    /// Entries come newest first, each on one page, however many share a moment.
    async fn each_entry_is_on_one_page(looma: TestServer) {
        let admin = looma.admin().await;
        for n in 0..7 {
            make(admin, &format!("u{n}")).await;
            looma.advance(Duration::from_secs(n % 2));
        }
        let whole = admin.get("/audit-logs?resource_type=users&action=create").await.expect(200);
        let whole = whole["items"].as_array().unwrap().clone();
        assert_eq!(whole.len(), 8);
        assert!(whole.is_sorted_by(|a, b| a["created_at"].as_str() >= b["created_at"].as_str()));
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/audit-logs?resource_type=users&action=create&limit=3{after}")).await.expect(200);
            paged.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(paged, whole);
    }

    /// Each filter takes away what does not fit; times include the first and leave out the last.
    async fn filters_narrow_the_list(looma: TestServer) {
        let admin = looma.admin().await;
        let (id, _) = (make(admin, "ann").await, looma.advance(Duration::from_secs(10)));
        admin.patch(&format!("/users/{id}"), &json!({"role": "operator"})).await.expect(200);
        looma.advance(Duration::from_secs(10));
        admin.delete(&format!("/users/{id}")).await.expect(204);
        let me = admin.get("/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned();
        for (filter, expected) in [
            (format!("resource_type=users&resource_id={id}"), vec!["delete", "update", "create"]),
            (format!("actor=user:{me}"), vec!["delete", "update", "create", "login"]),
            ("actor=system:start".to_owned(), vec!["create"]),
            ("actor=nobody".to_owned(), vec![]),
            (format!("actor=user:{me}&action=login"), vec!["login"]),
            (format!("resource_id={id}&action=update"), vec!["update"]),
            ("from=2026-01-01T00:00:10Z".to_owned(), vec!["delete", "update"]),
            ("from=2026-01-01T00:00:10Z&to=2026-01-01T00:00:20Z".to_owned(), vec!["update"]),
        ] {
            let page = admin.get(&format!("/audit-logs?{filter}")).await.expect(200);
            assert_eq!(actions(&page), expected, "{filter}");
        }
        for wrong in ["from=yesterday", "limit=0", "after=x", "colour=red"] {
            admin.get(&format!("/audit-logs?{wrong}")).await.expect(422);
        }
    }
}
