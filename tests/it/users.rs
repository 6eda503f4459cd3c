//! Users: who may sign in, and with which role.

use looma_tests::{ADMIN_PASSWORD, Client, both_databases};
use reqwest::Method;
use serde_json::{Value, json};

/// Makes a user and gives its key.
async fn make(admin: &Client, username: &str, role: &str) -> String {
    let user = json!({"username": username, "password": ADMIN_PASSWORD, "role": role});
    admin.post("/users", &user).await.expect(201)["user_id"].as_str().unwrap().to_owned()
}

/// The key of whoever asks.
async fn own_id(client: &Client) -> String {
    client.get("/auth/me").await.expect(200)["user_id"].as_str().unwrap().to_owned()
}

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap()).collect()
}

both_databases! {
    /// A user that was made can be read and can sign in, and nothing of its password is ever shown.
    async fn a_user_that_was_made_can_sign_in(looma: TestServer) {
        let admin = looma.admin().await;
        let new = json!({"username": "  zoe ", "password": ADMIN_PASSWORD, "role": "viewer", "email": "zoe@example.com",
            "permissions": ["reports"]});
        let made = admin.post("/users", &new).await;
        let location = made.header("location").unwrap().to_owned();
        let made = made.expect(201);
        assert_eq!(made["username"], "zoe");
        assert_eq!(location, format!("/api/v1/users/{}", made["user_id"].as_str().unwrap()));
        assert_eq!(admin.get(&location).await.expect(200), made);
        let fields: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
        let known = ["created_at", "email", "last_login", "permissions", "role", "status", "updated_at", "user_id", "username"];
        assert_eq!(fields, known);
        looma.sign_in("zoe", ADMIN_PASSWORD).await.get("/auth/me").await.expect(200);
        assert_eq!(admin.get(&location).await.expect(200)["last_login"], "2026-01-01T00:00:00.000Z");
    }

    /// Names differ by case, and no two users share a name or an address.
    async fn names_and_addresses_are_taken_once(looma: TestServer) {
        let admin = looma.admin().await;
        let new = |name: &str, email: &str| json!({"username": name, "password": ADMIN_PASSWORD, "role": "viewer", "email": email});
        admin.post("/users", &new("ann", "a@example.com")).await.expect(201);
        admin.post("/users", &new("Ann", "b@example.com")).await.expect(201);
        admin.post("/users", &new("ann ", "c@example.com")).await.expect(409);
        admin.post("/users", &new("bob", "a@example.com")).await.expect(409);
    }

    /// Every fault of a new user is told at its place.
    async fn every_fault_of_a_user_is_told(looma: TestServer) {
        let admin = looma.admin().await;
        let bad = json!({"username": "a\u{7}b", "password": "short", "role": "viewer", "email": "nobody at home",
            "permissions": ["x", "", "x"]});
        let answer = admin.post("/users", &bad).await;
        assert_eq!(answer.pointers(), ["/username", "/password", "/email", "/permissions/1", "/permissions/2"]);
        answer.expect(422);
        let long = json!({"username": "n".repeat(101), "password": "p".repeat(1025), "role": "viewer"});
        assert_eq!(admin.post("/users", &long).await.pointers(), ["/username", "/password"]);
        let role = json!({"username": "x", "password": ADMIN_PASSWORD, "role": "god", "colour": "red"});
        let pointers = admin.post("/users", &role).await.pointers().join(" ");
        assert!(pointers.contains("/role") && pointers.contains("/colour"), "{pointers}");
    }

    /// A list is filtered, sorted, and each user is on one of its pages.
    async fn users_are_listed_a_page_at_a_time(looma: TestServer) {
        let admin = looma.admin().await;
        for (name, role) in [("d", "viewer"), ("a", "operator"), ("c", "viewer"), ("b", "viewer")] {
            make(admin, name, role).await;
        }
        assert_eq!(names(&admin.get("/users").await.expect(200)), ["admin", "d", "a", "c", "b"]);
        assert_eq!(names(&admin.get("/users?role=viewer&sort=-username").await.expect(200)), ["d", "c", "b"]);
        assert_eq!(names(&admin.get("/users?username=a&status=active").await.expect(200)), ["a"]);
        assert!(names(&admin.get("/users?status=suspended").await.expect(200)).is_empty());
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = admin.get(&format!("/users?limit=2&sort=-role,username{after}")).await.expect(200);
            seen.extend(names(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, ["b", "c", "d", "a", "admin"]);
        for wrong in ["limit=0", "limit=1001", "sort=password_hash", "after=x", "role=god", "colour=red"] {
            admin.get(&format!("/users?{wrong}")).await.expect(422);
        }
    }

    /// A write that rests on an old reading is refused, and what was read need not be sent again.
    async fn writes_are_guarded_by_the_version_that_was_read(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}", make(admin, "ann", "viewer").await);
        let tag = admin.get(&path).await.header("etag").unwrap().to_owned();
        let known = admin.request(Method::GET, &path).header("if-none-match", &tag);
        admin.send(known).await.expect(304);
        looma.advance(std::time::Duration::from_secs(1));
        let guarded = |body: Value| admin.request(Method::PATCH, &path).header("if-match", &tag).json(&body);
        let changed = admin.send(guarded(json!({"role": "operator"}))).await.expect(200);
        assert_eq!((&changed["role"], &changed["updated_at"]), (&json!("operator"), &json!("2026-01-01T00:00:01.000Z")));
        admin.send(guarded(json!({"role": "admin"}))).await.expect(412);
        admin.send(admin.request(Method::DELETE, &path).header("if-match", &tag)).await.expect(412);
        assert_eq!(admin.get(&path).await.expect(200), changed);
    }

    /// A patch changes what it names; what cannot be changed is refused.
    async fn a_patch_changes_what_it_names(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}", make(admin, "ann", "viewer").await);
        let patch = json!({"email": "ann@example.com", "permissions": ["reports"]});
        let changed = admin.patch(&path, &patch).await.expect(200);
        assert_eq!((&changed["role"], &changed["permissions"]), (&json!("viewer"), &json!(["reports"])));
        assert_eq!(admin.patch(&path, &json!({"email": null})).await.expect(200)["email"], Value::Null);
        assert_eq!(admin.patch(&path, &json!({"username": "eve"})).await.pointers(), ["/username"]);
        assert_eq!(admin.patch(&path, &json!({"email": "x"})).await.pointers(), ["/email"]);
        admin.patch("/users/nobody", &json!({"role": "admin"})).await.expect(404);
    }

    /// There is always an active administrator: the last one is neither removed, demoted nor suspended.
    async fn the_last_administrator_stays(looma: TestServer) {
        let admin = looma.admin().await;
        let first = format!("/users/{}", own_id(admin).await);
        let spare = make(admin, "spare", "admin").await;
        admin.patch(&format!("/users/{spare}"), &json!({"status": "inactive"})).await.expect(200);
        admin.delete(&first).await.expect(409);
        for patch in [json!({"role": "operator"}), json!({"status": "suspended"}), json!({"status": "inactive"})] {
            admin.patch(&first, &patch).await.expect(409);
        }
        admin.patch(&first, &json!({"email": "root@example.com"})).await.expect(200);
        admin.patch(&format!("/users/{spare}"), &json!({"status": "active"})).await.expect(200);
        admin.delete(&first).await.expect(204);
        admin.get("/users").await.expect(401);
        let spare = looma.sign_in("spare", ADMIN_PASSWORD).await;
        assert_eq!(names(&spare.get("/users").await.expect(200)), ["spare"]);
    }

    /// Two administrators who demote each other at the same time do not leave the house empty.
    async fn two_administrators_cannot_demote_each_other(looma: TestServer) {
        let admin = looma.admin().await;
        make(admin, "other", "admin").await;
        let other = looma.sign_in("other", ADMIN_PASSWORD).await;
        let (a, b) = (format!("/users/{}", own_id(admin).await), format!("/users/{}", own_id(&other).await));
        let demote = json!({"role": "viewer"});
        let (one, two) = tokio::join!(admin.patch(&b, &demote), other.patch(&a, &demote));
        let mut statuses = [one.status, two.status];
        statuses.sort_unstable();
        assert!(statuses[0] == 200 && [403, 409].contains(&statuses[1]), "{statuses:?}");
    }

    /// Whoever is suspended is out at once, and stays out of the old session when it is lifted.
    async fn suspending_ends_sessions_at_once(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}", make(admin, "ann", "viewer").await);
        let ann = looma.sign_in("ann", ADMIN_PASSWORD).await;
        ann.get("/auth/me").await.expect(200);
        admin.patch(&path, &json!({"status": "suspended"})).await.expect(200);
        ann.get("/auth/me").await.expect(401);
        let login = json!({"username": "ann", "password": ADMIN_PASSWORD});
        looma.anonymous().post("/auth/login", &login).await.expect(401);
        admin.patch(&path, &json!({"status": "active"})).await.expect(200);
        ann.get("/auth/me").await.expect(401);
        looma.anonymous().post("/auth/login", &login).await.expect(200);
    }

    /// A user who is deleted is gone with every session.
    async fn deleting_ends_everything_of_a_user(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}", make(admin, "ann", "viewer").await);
        let ann = looma.sign_in("ann", ADMIN_PASSWORD).await;
        admin.delete(&path).await.expect(204);
        ann.get("/auth/me").await.expect(401);
        admin.get(&path).await.expect(404);
        admin.delete(&path).await.expect(404);
        make(admin, "ann", "viewer").await;
    }

    /// One's own password needs the one in use; the session at hand stays and every other ends.
    async fn a_new_password_ends_the_other_sessions(looma: TestServer) {
        make(looma.admin().await, "ann", "viewer").await;
        let (here, elsewhere) = (looma.sign_in("ann", ADMIN_PASSWORD).await, looma.sign_in("ann", ADMIN_PASSWORD).await);
        let path = format!("/users/{}/password", own_id(&here).await);
        let new = "another-long-password";
        assert_eq!(here.put(&path, &json!({"password": new})).await.pointers(), ["/current_password"]);
        let wrong = json!({"password": new, "current_password": "not the one"});
        assert_eq!(here.put(&path, &wrong).await.pointers(), ["/current_password"]);
        let short = json!({"password": "short", "current_password": ADMIN_PASSWORD});
        assert_eq!(here.put(&path, &short).await.pointers(), ["/password"]);
        elsewhere.get("/auth/me").await.expect(200);
        here.put(&path, &json!({"password": new, "current_password": ADMIN_PASSWORD})).await.expect(204);
        here.get("/auth/me").await.expect(200);
        elsewhere.get("/auth/me").await.expect(401);
        looma.anonymous().post("/auth/login", &json!({"username": "ann", "password": ADMIN_PASSWORD})).await.expect(401);
        looma.sign_in("ann", new).await;
    }

    /// An administrator sets anybody's password, others nobody's but their own, and guessing the old one is limited.
    async fn only_administrators_set_passwords_of_others(looma: TestServer) {
        let admin = looma.admin().await;
        let ann = make(admin, "ann", "viewer").await;
        let body = json!({"password": "another-long-password", "current_password": ADMIN_PASSWORD});
        let theirs = looma.sign_in("ann", ADMIN_PASSWORD).await;
        theirs.put(&format!("/users/{}/password", own_id(admin).await), &body).await.expect(403);
        let new = json!({"password": "set-by-administrator"});
        admin.put(&format!("/users/{ann}/password"), &new).await.expect(204);
        theirs.get("/auth/me").await.expect(401);
        let theirs = looma.sign_in("ann", "set-by-administrator").await;
        for _ in 0..5 {
            theirs.put(&format!("/users/{ann}/password"), &body).await.expect(422);
        }
        theirs.put(&format!("/users/{ann}/password"), &body).await.expect(429);
        admin.put("/users/nobody/password", &new).await.expect(404);
    }

    /// Permissions are a list of names that is read and replaced as a whole.
    async fn permissions_are_replaced_as_a_whole(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}/permissions", make(admin, "ann", "viewer").await);
        assert_eq!(admin.get(&path).await.expect(200), json!({"permissions": []}));
        let new = json!({"permissions": ["reports", "billing"]});
        let tag = admin.get(&path).await.header("etag").unwrap().to_owned();
        assert_eq!(admin.put(&path, &new).await.expect(200), new);
        assert_eq!(admin.get(&path).await.expect(200), new);
        admin.send(admin.request(Method::PUT, &path).header("if-match", tag).json(&new)).await.expect(412);
        assert_eq!(admin.put(&path, &json!({"permissions": ["a", "a"]})).await.pointers(), ["/permissions/1"]);
        admin.put("/users/nobody/permissions", &new).await.expect(404);
    }
    /// Signing in is no change of a user: what was read before still guards a write.
    async fn a_sign_in_is_no_change(looma: TestServer) {
        let admin = looma.admin().await;
        let path = format!("/users/{}", make(admin, "ann", "viewer").await);
        let tag = admin.get(&path).await.header("etag").unwrap().to_owned();
        looma.sign_in("ann", ADMIN_PASSWORD).await;
        let known = admin.send(admin.request(Method::GET, &path).header("if-none-match", &tag)).await;
        assert_eq!(known.status, 304);
        let guarded = |tag: &str| admin.request(Method::PATCH, &path).header("if-match", tag).json(&json!({"email": "a@b.c"}));
        let changed = admin.send(guarded(&tag)).await;
        assert_eq!(changed.header("etag"), admin.get(&path).await.header("etag"));
        changed.expect(200);
        admin.send(guarded(&tag)).await.expect(412);
    }
}
