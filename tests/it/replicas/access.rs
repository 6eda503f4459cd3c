//! Who signs in at one replica has signed in at all.

use std::time::Duration;

use looma_tests::ADMIN_PASSWORD;
use serde_json::json;

use super::deaf;

/// An access token opens every replica as soon as it is there, also that of a user who was made a moment ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_opens_every_replica_at_once() {
    let Some((first, second)) = deaf().await else { return };
    let here = first.operator().await;
    second.with_token(here.token().unwrap()).get("/auth/me").await.expect(200);
    first.stop().await;
    second.stop().await;
}

/// So does an API token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_token_opens_every_replica_at_once() {
    let Some((first, second)) = deaf().await else { return };
    let token = json!({"name": "ci", "scopes": ["services:read"]});
    let made = first.admin().await.post("/tokens", &token).await.expect(201);
    second.with_token(made["token"].as_str().unwrap()).get("/services").await.expect(200);
    first.stop().await;
    second.stop().await;
}

/// A session that was refreshed elsewhere lasts here too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_one_prolonged_lasts_at_the_other() {
    let Some((first, second)) = deaf().await else { return };
    let length = Duration::from_secs(first.app().settings.auth.session_seconds);
    let began = first.app().clock.now();
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD});
    let mut tokens = first.anonymous().post("/auth/login", &body).await.expect(200);
    second.run_task("feed.follow").await;
    for at in [began.plus(length / 2), began.plus(length + length / 4)] {
        // The wall clock alone: nothing runs of itself.
        [&first, &second].iter().for_each(|replica| replica.clock.jump(at));
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        tokens = first.anonymous().post("/auth/refresh", &refresh).await.expect(200);
    }
    second.with_token(tokens["access_token"].as_str().unwrap()).get("/auth/me").await.expect(200);
    first.stop().await;
    second.stop().await;
}

/// Tokens that are not ours do not make as many reads as there are requests: beyond some in a second, memory answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_tokens_are_not_looked_up_without_end() {
    let Some((first, second)) = deaf().await else { return };
    for n in 0..20 {
        second.with_token(&format!("looma_{n}")).get("/auth/me").await.expect(401);
    }
    let here = first.operator().await;
    second.with_token(here.token().unwrap()).get("/auth/me").await.expect(401);
    second.run_task("feed.follow").await;
    second.with_token(here.token().unwrap()).get("/auth/me").await.expect(200);
    first.stop().await;
    second.stop().await;
}
