//! API tokens: what a program sends on behalf of a user.

use std::time::Duration;

use looma_tests::{ADMIN_PASSWORD, Client, Store, TestServer, both_databases};
use serde_json::{Value, json};

async fn make(owner: &Client, token: &Value) -> (String, Value) {
    let made = owner.post("/tokens", token).await.expect(201);
    (made["token"].as_str().unwrap().to_owned(), made)
}

async fn own_id(client: &Client) -> String {
    client.get("/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned()
}

fn keys(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|token| token["token_id"].as_str().unwrap()).collect()
}

both_databases! {
    /// A token is shown when it is made and never again; it does what its scopes say and nothing else.
    async fn a_token_does_what_its_scopes_say(looma: TestServer) {
        let operator = looma.operator().await;
        let (secret, made) = make(operator, &json!({"name": "ci", "scopes": ["system:read"]})).await;
        assert!(secret.starts_with("looma_") && secret.len() == 6 + 43, "{secret}");
        let path = format!("/tokens/{}", made["token_id"].as_str().unwrap());
        let shown = operator.get(&path).await;
        assert!(!String::from_utf8_lossy(&shown.bytes).contains(&secret));
        assert_eq!(shown.expect(200)["scopes"], json!(["system:read"]));
        let token = looma.with_token(&secret);
        assert_eq!(token.get("/auth/me").await.expect(200)["scopes"], json!(["system:read"]));
        token.get("/tasks").await.expect(200);
        let (none, _) = make(operator, &json!({"name": "nothing", "scopes": []})).await;
        looma.with_token(&none).get("/auth/me").await.expect(200);
        looma.with_token(&none).get("/tasks").await.expect(403);
    }

    /// Neither the database nor the audit holds a token.
    async fn no_token_is_stored(looma: TestServer) {
        let admin = looma.admin().await;
        let (secret, _) = make(admin, &json!({"name": "ci", "scopes": []})).await;
        let audit = admin.get("/audit-logs?resource_type=tokens").await;
        let text = String::from_utf8_lossy(&audit.bytes).into_owned();
        assert!(text.contains("\"create\"") && !text.contains(&secret[6..]) && !text.contains("token_hash"), "{text}");
        if looma.store().url().is_none() {
            looma.run_task("db.checkpoint").await;
            let file = std::fs::read(looma.store().dir().join("looma.db")).unwrap();
            assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }

    /// A token stands in for nobody who signed in: it makes no tokens and is no administrator.
    async fn a_token_makes_no_tokens(looma: TestServer) {
        let (secret, _) = make(looma.admin().await, &json!({"name": "ci", "scopes": ["system:read"]})).await;
        let token = looma.with_token(&secret);
        token.post("/tokens", &json!({"name": "more", "scopes": []})).await.expect(403);
        token.get("/tokens").await.expect(403);
        token.get("/users").await.expect(403);
    }

    /// Scopes that the user's role does not have are refused, with every other fault.
    async fn scopes_beyond_the_role_are_refused(looma: TestServer) {
        let viewer = looma.viewer().await;
        let scopes = json!(["services:read", "services:write", "services:read"]);
        let bad = json!({"name": " ", "scopes": scopes, "service_id": "", "expires_at": "2025-12-31T00:00:00Z"});
        let answer = viewer.post("/tokens", &bad).await;
        assert_eq!(answer.pointers(), ["/name", "/scopes/1", "/scopes/2", "/service_id", "/expires_at"]);
        answer.expect(422);
        let unknown = viewer.post("/tokens", &json!({"name": "x", "scopes": ["all:write"]})).await;
        assert_eq!(unknown.pointers(), ["/scopes/0"]);
        viewer.post("/tokens", &json!({"name": "x", "scopes": ["services:read"]})).await.expect(201);
    }

    /// A token never may more than its user at that moment.
    async fn a_token_is_bounded_by_its_user(looma: TestServer) {
        let (admin, operator) = (looma.admin().await, looma.operator().await);
        let (secret, _) = make(operator, &json!({"name": "ci", "scopes": ["system:read"]})).await;
        let token = looma.with_token(&secret);
        token.get("/tasks").await.expect(200);
        let user = format!("/users/{}", own_id(operator).await);
        admin.patch(&user, &json!({"status": "suspended"})).await.expect(200);
        token.get("/tasks").await.expect(401);
        admin.patch(&user, &json!({"status": "active"})).await.expect(200);
        token.get("/tasks").await.expect(200);
        admin.delete(&user).await.expect(204);
        token.get("/tasks").await.expect(401);
        assert!(keys(&admin.get("/tokens").await.expect(200)).is_empty());
    }

    /// Everybody sees and ends their own tokens; an administrator everybody's.
    async fn tokens_belong_to_their_user(looma: TestServer) {
        let (admin, operator, viewer) = (looma.admin().await, looma.operator().await, looma.viewer().await);
        let (secret, first) = make(operator, &json!({"name": "one", "scopes": []})).await;
        let (_, second) = make(viewer, &json!({"name": "two", "scopes": [], "service_id": "ai-1", "service_name": "ai"})).await;
        let (first, second) = (first["token_id"].as_str().unwrap(), second["token_id"].as_str().unwrap());
        assert_eq!(keys(&operator.get("/tokens").await.expect(200)), [first]);
        assert_eq!(keys(&viewer.get("/tokens").await.expect(200)), [second]);
        assert_eq!(keys(&admin.get("/tokens").await.expect(200)), [first, second]);
        let of_operator = format!("/tokens?user_id={}", own_id(operator).await);
        assert_eq!(keys(&admin.get(&of_operator).await.expect(200)), [first]);
        assert_eq!(keys(&operator.get(&of_operator).await.expect(200)), [first]);
        viewer.get(&of_operator).await.expect(403);
        let page = admin.get("/tokens?limit=1").await.expect(200);
        let next = format!("/tokens?limit=1&after={}", page["next"].as_str().unwrap());
        assert_eq!(keys(&admin.get(&next).await.expect(200)), [second]);
        viewer.get(&format!("/tokens/{first}")).await.expect(404);
        viewer.delete(&format!("/tokens/{first}")).await.expect(404);
        looma.with_token(&secret).get("/auth/me").await.expect(200);
        admin.delete(&format!("/tokens/{first}")).await.expect(204);
        looma.with_token(&secret).get("/auth/me").await.expect(401);
        viewer.delete(&format!("/tokens/{second}")).await.expect(204);
        viewer.delete(&format!("/tokens/{second}")).await.expect(404);
    }

    /// A token ends when it says, and is forgotten after that.
    async fn tokens_run_out(looma: TestServer) {
        let admin = looma.admin().await;
        make(admin, &json!({"name": "for good", "scopes": []})).await;
        let (secret, made) = make(admin, &json!({"name": "minute", "scopes": [], "expires_at": "2026-01-01T00:01:00Z"})).await;
        looma.advance(Duration::from_secs(59));
        looma.with_token(&secret).get("/auth/me").await.expect(200);
        looma.advance(Duration::from_secs(1));
        looma.with_token(&secret).get("/auth/me").await.expect(401);
        looma.run_task("users.prune").await;
        admin.get(&format!("/tokens/{}", made["token_id"].as_str().unwrap())).await.expect(404);
        assert_eq!(keys(&admin.get("/tokens").await.expect(200)).len(), 1);
        looma.with_token(&secret).get("/auth/me").await.expect(401);
    }
}

/// Tokens outlive the server that made them, and what was ended stays ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_outlive_a_restart() {
    let looma = TestServer::start(Store::sqlite()).await;
    let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
    let (kept, _) = make(&admin, &json!({"name": "kept", "scopes": ["system:read"]})).await;
    let (ended, made) = make(&admin, &json!({"name": "ended", "scopes": ["system:read"]})).await;
    admin.delete(&format!("/tokens/{}", made["token_id"].as_str().unwrap())).await.expect(204);
    let looma = looma.restart().await;
    looma.with_token(&kept).get("/tasks").await.expect(200);
    looma.with_token(&ended).get("/tasks").await.expect(401);
    looma.stop().await;
}
