//! Signing in.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use looma::{
    clock::{Clock, Timestamp},
    run::Start,
};
use looma_tests::{ADMIN_PASSWORD, Client, Store, TestServer, both_databases};
use serde_json::{Value, json};

/// The keys of the sessions of whoever asks.
async fn sessions(client: &Client) -> Vec<String> {
    let page = client.get("/auth/sessions").await.expect(200);
    let keys =
        page["items"].as_array().unwrap().iter().map(|session| session["session_id"].as_str().unwrap().to_owned());
    keys.collect()
}

async fn login(looma: &TestServer) -> Value {
    let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
    looma.anonymous().post("/auth/login", &login).await.expect(200)
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

both_databases! {
    /// A wrong password and an unknown name are answered alike.
    async fn wrong_name_and_wrong_password_look_alike(looma: TestServer) {
        let anonymous = looma.anonymous();
        let name = anonymous.post("/auth/login", &json!({"username": "nobody", "password": ADMIN_PASSWORD})).await;
        let password = anonymous.post("/auth/login", &json!({"username": "admin", "password": "wrong"})).await;
        assert_eq!(name.expect(401)["detail"], password.expect(401)["detail"]);
    }

    /// Signing out ends the session at once, though its access token has not expired.
    async fn logout_ends_the_session(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        assert_eq!(admin.get("/auth/me").await.expect(200)["username"], "admin");
        admin.post("/auth/logout", &json!({})).await.expect(204);
        admin.get("/auth/me").await.expect(401);
    }

    /// A refresh token is good once; its second use ends the session that came of it.
    async fn second_use_of_a_refresh_token_ends_the_session(looma: TestServer) {
        let login = json!({"username": "admin", "password": ADMIN_PASSWORD});
        let first = looma.anonymous().post("/auth/login", &login).await.expect(200);
        let used = json!({"refresh_token": first["refresh_token"]});
        let second = looma.anonymous().post("/auth/refresh", &used).await.expect(200);
        let client = looma.with_token(second["access_token"].as_str().unwrap());
        client.get("/auth/me").await.expect(200);
        looma.anonymous().post("/auth/refresh", &used).await.expect(401);
        client.get("/auth/me").await.expect(401);
        looma.anonymous().post("/auth/refresh", &json!({"refresh_token": second["refresh_token"]})).await.expect(401);
    }

    /// An access token is good for as long as it says.
    async fn access_tokens_expire(looma: TestServer) {
        let admin = looma.sign_in("admin", ADMIN_PASSWORD).await;
        looma.advance(std::time::Duration::from_secs(899));
        admin.get("/auth/me").await.expect(200);
        looma.advance(std::time::Duration::from_secs(1));
        admin.get("/auth/me").await.expect(401);
    }

    /// Guessing is slowed down, and the answer says for how long.
    async fn guessing_is_limited(looma: TestServer) {
        let guess = json!({"username": "admin", "password": "guess"});
        for _ in 0..5 {
            looma.anonymous().post("/auth/login", &guess).await.expect(401);
        }
        let refused = looma.anonymous().post("/auth/login", &guess).await;
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
        refused.expect(429);
        looma.advance(std::time::Duration::from_secs(61));
        looma.anonymous().post("/auth/login", &guess).await.expect(401);
    }

    /// However many guess at once, no more of them are tried than one after the other would be.
    async fn guesses_at_once_are_limited_too(looma: TestServer) {
        let anonymous = looma.anonymous();
        let guess = json!({"username": "admin", "password": "guess"});
        let answers = futures_util::future::join_all((0..24).map(|_| anonymous.post("/auth/login", &guess))).await;
        let (tried, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 401);
        assert_eq!(tried.len(), 5);
        for refused in refused {
            assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() <= 61);
            refused.expect(429);
        }
    }

    /// Who knows the password is not taken for somebody who guesses it, however often.
    async fn a_right_password_is_no_guess(looma: TestServer) {
        for _ in 0..12 {
            login(looma).await;
        }
        let guess = json!({"username": "admin", "password": "guess"});
        for _ in 0..4 {
            looma.anonymous().post("/auth/login", &guess).await.expect(401);
        }
        login(looma).await;
        looma.anonymous().post("/auth/login", &guess).await.expect(401);
        looma.anonymous().post("/auth/login", &guess).await.expect(429);
    }

    /// A body that does not fit is answered with each place where it does not.
    async fn every_fault_of_a_body_is_told(looma: TestServer) {
        let answer = looma.anonymous().post("/auth/login", &json!({"username": 7, "pasword": "x"})).await;
        let mut pointers = answer.pointers();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/password", "/pasword", "/username"], "{}", answer.json);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json["instance"], "/api/v1/auth/login");
        answer.expect(422);
        let broken = looma.anonymous().post_bytes("/auth/login", "application/json", "{\"username\"").await;
        broken.expect(400);
        looma.anonymous().post_bytes("/auth/login", "text/plain", "{}").await.expect(415);
    }

    /// One sees one's own sessions, without anything that opens them, and ends them one by one.
    async fn sessions_are_listed_and_ended(looma: TestServer) {
        let (here, there) = (looma.sign_in("admin", ADMIN_PASSWORD).await, looma.sign_in("admin", ADMIN_PASSWORD).await);
        let keys = sessions(&here).await;
        assert_eq!((keys.len(), &keys), (2, &sessions(&there).await));
        let shown = here.get("/auth/sessions").await.expect(200)["items"][1].clone();
        let fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, ["created_at", "expires_at", "generation", "session_id", "source", "updated_at", "user_id"]);
        assert_eq!(shown["source"], "127.0.0.1");
        here.delete(&format!("/auth/sessions/{}", keys[1])).await.expect(204);
        there.get("/auth/me").await.expect(401);
        assert_eq!(sessions(&here).await, keys[..1]);
        here.delete(&format!("/auth/sessions/{}", keys[1])).await.expect(404);
    }

    /// The sessions of others are not there, except for an administrator.
    async fn only_administrators_end_sessions_of_others(looma: TestServer) {
        let (admin, viewer, operator) = (looma.admin().await, looma.viewer().await, looma.operator().await);
        let theirs = format!("/auth/sessions/{}", sessions(viewer).await[0]);
        operator.delete(&theirs).await.expect(404);
        viewer.get("/auth/me").await.expect(200);
        admin.delete(&theirs).await.expect(204);
        viewer.get("/auth/me").await.expect(401);
    }

    /// A session whose end was asked for gives no new tokens.
    async fn an_ended_session_is_not_refreshed(looma: TestServer) {
        let tokens = login(looma).await;
        let client = looma.with_token(tokens["access_token"].as_str().unwrap());
        let id = sessions(&client).await.remove(0);
        client.delete(&format!("/auth/sessions/{id}")).await.expect(204);
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        looma.anonymous().post("/auth/refresh", &refresh).await.expect(401);
    }

    /// A session ends by itself when it is not refreshed, and lasts when it is.
    async fn sessions_run_out(looma: TestServer) {
        let (left, kept) = (login(looma).await, login(looma).await);
        let almost = std::time::Duration::from_secs(looma.app().settings.auth.session_seconds - 1);
        looma.advance(almost);
        let kept = looma.anonymous().post("/auth/refresh", &json!({"refresh_token": kept["refresh_token"]})).await.expect(200);
        looma.advance(std::time::Duration::from_secs(1));
        looma.run_task("users.prune").await;
        looma.anonymous().post("/auth/refresh", &json!({"refresh_token": left["refresh_token"]})).await.expect(401);
        looma.advance(almost - std::time::Duration::from_secs(1));
        looma.anonymous().post("/auth/refresh", &json!({"refresh_token": kept["refresh_token"]})).await.expect(200);
    }

    /// A role that is given or taken away counts with the next request of the same session.
    async fn a_new_role_counts_with_the_next_request(looma: TestServer) {
        let (admin, viewer) = (looma.admin().await, looma.viewer().await);
        viewer.get("/users").await.expect(403);
        let id = viewer.get("/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned();
        admin.patch(&format!("/users/{id}"), &json!({"role": "admin"})).await.expect(200);
        viewer.get("/users").await.expect(200);
        admin.patch(&format!("/users/{id}"), &json!({"role": "viewer"})).await.expect(200);
        viewer.get("/users").await.expect(403);
    }

    /// A token that is signed with another key, or not signed at all, opens nothing.
    async fn forged_tokens_open_nothing(looma: TestServer) {
        let token = looma.admin().await.token().unwrap().to_owned();
        let [head, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
        // {"alg":"none","typ":"JWT"}
        let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let cut = &signature[..signature.len() - 2];
        for forged in [format!("{unsigned}.{claims}."), format!("{unsigned}.{claims}.{signature}"), format!("{head}.{claims}.{cut}")] {
            looma.with_token(&forged).get("/auth/me").await.expect(401);
        }
        looma.with_token(&token).get("/auth/me").await.expect(200);
    }
}

/// Sessions outlive the server, and those that were ended stay ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_outlive_a_restart() {
    for store in [Some(Store::sqlite()), Store::postgres().await].into_iter().flatten() {
        let looma = TestServer::start(store).await;
        let (kept, ended) = (login(&looma).await, login(&looma).await);
        let token = |tokens: &Value| tokens["access_token"].as_str().unwrap().to_owned();
        looma.with_token(&token(&ended)).post("/auth/logout", &json!({})).await.expect(204);
        let looma = looma.restart().await;
        looma.with_token(&token(&kept)).get("/auth/me").await.expect(200);
        looma.with_token(&token(&ended)).get("/auth/me").await.expect(401);
        looma.anonymous().post("/auth/refresh", &json!({"refresh_token": kept["refresh_token"]})).await.expect(200);
        looma.stop().await;
    }
}

/// The key that signs is its owner's alone; a server does not start with one that others can read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signing_key_that_others_can_read_is_refused() {
    let store = Store::sqlite();
    let key = store.dir().join("signing-key");
    TestServer::start(store.clone()).await.stop().await;
    assert_eq!(mode(&key), 0o600);
    let start = || {
        let (clock, _) = Clock::manual(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        looma::run::start(Start { settings: store.settings(), clock, admin_password: None })
    };
    for open in [0o604, 0o640] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(open)).unwrap();
        let error = start().await.err().expect("it does not start");
        assert!(format!("{error:#}").contains("chmod 600"), "{error:#}");
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    start().await.unwrap().stop().await.unwrap();
}

/// The first administrator's password is random, signs in, and is in a file that its owner alone can read; it is made once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_password_is_its_owners_alone() {
    let store = Store::sqlite();
    let file = store.dir().join("admin-password");
    let start = || {
        let (clock, _) = Clock::manual(Timestamp::parse("2026-01-01T00:00:00Z").unwrap());
        looma::run::start(Start { settings: store.settings(), clock, admin_password: None })
    };
    let running = start().await.unwrap();
    assert_eq!(mode(&file), 0o600);
    let password = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert!(password.len() >= 24, "{password}");
    let client = Client::new(format!("http://{}", running.address), None);
    client.post("/auth/login", &json!({"username": "admin", "password": password})).await.expect(200);
    running.stop().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    start().await.unwrap().stop().await.unwrap();
    assert!(!file.exists());
}
