//! Signing in.

use looma_tests::{ADMIN_PASSWORD, both_databases};
use serde_json::json;

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
}
