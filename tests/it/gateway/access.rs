//! Who may do what: every path of the surfaces is tried by everybody, with the token in every place that clients put it.

use looma::{gateway, http::auth::Scope};
use looma_tests::{ADMIN_PASSWORD, Answer, Client, Store, TestServer, both_databases};
use reqwest::Method;
use serde_json::json;

struct Path {
    method: Method,
    path: String,
    access: Scope,
}

fn paths() -> Vec<Path> {
    let all = gateway::paths().into_iter().map(|(method, path, access)| {
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "none" } else { segment });
        let path = segments.collect::<Vec<_>>().join("/");
        Path { method: method.to_uppercase().parse().unwrap(), path, access: access.parse().unwrap() }
    });
    let all: Vec<Path> = all.collect();
    assert!(all.len() > 30, "{}", all.len());
    all
}

async fn status(client: &Client, path: &Path) -> u16 {
    client.send(client.request(path.method.clone(), &path.path)).await.status
}

/// A token with some scopes.
async fn token(owner: &Client, scopes: &[Scope]) -> String {
    let made = owner.post("/tokens", &json!({"name": "try", "scopes": scopes})).await.expect(201);
    made["token"].as_str().unwrap().to_owned()
}

both_databases! {
    /// Without a good token nothing is answered, and what is said is what each client knows: 403.
    async fn nobody_gets_in_without_a_good_token(looma: TestServer) {
        for stranger in [looma.anonymous(), looma.with_token("looma_wrong"), looma.with_token("eyJhbGciOiJIUzI1NiJ9.e30.c2ln")] {
            for path in paths() {
                assert_eq!(status(&stranger, &path).await, 403, "{} {}", path.method, path.path);
            }
        }
    }

    /// Each path is for whoever has its scope, by role or by token, and for nobody else.
    async fn scopes_open_their_paths_and_no_others(looma: TestServer) {
        let admin = looma.admin().await;
        let alone = |scope| async move { looma.with_token(&token(admin, &[scope]).await) };
        let (reads, writes) = (alone(Scope::ServicesRead).await, alone(Scope::ServicesWrite).await);
        let others: Vec<Scope> = Scope::ALL.iter().copied().filter(|scope| !scope.as_str().starts_with("services")).collect();
        let (others, viewer) = (looma.with_token(&token(admin, &others).await), looma.viewer().await);
        for path in paths() {
            let is_read = path.access == Scope::ServicesRead;
            for (client, may) in [(&reads, is_read), (&writes, !is_read), (viewer, is_read), (&others, false)] {
                let status = status(client, &path).await;
                assert_eq!(status != 403, may, "{} {}: {status}", path.method, path.path);
                assert!(status != 404 || path.path.contains("none"), "{} {}", path.method, path.path);
            }
        }
    }

    /// A token that is bound to a name registers, renews and takes away that name alone, by either protocol.
    async fn a_bound_token_speaks_for_its_own_service(looma: TestServer) {
        let admin = looma.admin().await;
        let bound = json!({"name": "x", "scopes": ["services:write"], "service_name": "x"});
        let made = admin.post("/tokens", &bound).await.expect(201);
        let own = looma.with_token(made["token"].as_str().unwrap());
        for (name, expected) in [("x", 200), ("y", 403)] {
            let at = format!("/nacos/v1/ns/instance?serviceName={name}&ip=10.0.0.7&port=1");
            own.send(own.request(Method::POST, &at)).await.expect(expected);
            let body = json!({"Name": name, "ID": format!("{name}-1"), "Address": "10.0.0.7", "Port": 1});
            own.put("/consul/v1/agent/service/register", &body).await.expect(expected);
        }
        admin.put("/consul/v1/agent/service/register", &json!({"Name": "y", "ID": "y-1", "Address": "10.0.0.7", "Port": 1})).await.expect(200);
        own.put("/consul/v1/agent/service/deregister/y-1", &json!({})).await.expect(403);
        own.put("/consul/v1/agent/check/fail/service:y-1", &json!({})).await.expect(403);
        own.put("/consul/v1/agent/service/maintenance/y-1?enable=true", &json!({})).await.expect(403);
        // An id that is another's is not taken over by saying that it is one's own name.
        own.put("/consul/v1/agent/service/register", &json!({"Name": "x", "ID": "y-1", "Address": "10.0.0.7", "Port": 1})).await.expect(403);
        own.put("/consul/v1/agent/service/deregister/x-1", &json!({})).await.expect(200);
    }

    /// Nacos' clients sign in, and put the token into the query, the form or a header; or send name and password each time.
    async fn nacos_tokens_may_stand_anywhere(looma: TestServer) {
        let nobody = looma.anonymous();
        let form = |path: &str, body: String| nobody.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body);
        let signed_in = nobody.send(form("/nacos/v1/auth/login", format!("username=admin&password={ADMIN_PASSWORD}"))).await;
        assert_eq!(signed_in.header("cache-control"), Some("no-store"));
        let signed_in = signed_in.expect(200);
        assert_eq!((&signed_in["tokenTtl"], &signed_in["globalAdmin"], &signed_in["username"]), (&json!(900), &json!(true), &json!("admin")));
        let token = signed_in["accessToken"].as_str().unwrap();
        let again = format!("/nacos/v1/auth/users/login?username=admin&password={ADMIN_PASSWORD}");
        nobody.send(nobody.request(Method::POST, &again)).await.expect(200);
        let list = "/nacos/v1/ns/instance/list?serviceName=x";
        nobody.get(&format!("{list}&accessToken={token}")).await.expect(200);
        nobody.send(nobody.request(Method::GET, list).header("accessToken", token)).await.expect(200);
        looma.with_token(token).get(list).await.expect(200);
        let body = format!("serviceName=x&ip=10.0.0.7&port=80&accessToken={token}");
        assert_eq!(nobody.send(form("/nacos/v1/ns/instance", body)).await.bytes, b"ok");
        nobody.get(&format!("{list}&username=admin&password={ADMIN_PASSWORD}")).await.expect(200);
        let refused = nobody.get(&format!("{list}&username=admin&password=wrong")).await;
        assert_eq!((refused.status, &refused.json["error"], &refused.json["path"]), (403, &json!("Forbidden"), &json!("/nacos/v1/ns/instance/list")));
        let refused = nobody.send(form("/nacos/v1/auth/login", "username=admin&password=wrong".to_owned())).await;
        assert_eq!((refused.status, &refused.json["message"]), (403, &json!("unknown user!")));
    }

    /// Whoever knows a name and a password alone may put an API token where the password goes.
    async fn an_api_token_may_stand_for_the_password(looma: TestServer) {
        let token = token(looma.admin().await, &[Scope::ServicesRead]).await;
        let nobody = looma.anonymous();
        let signed_in = nobody.send(nobody.request(Method::POST, &format!("/nacos/v1/auth/login?username=any&password={token}"))).await.expect(200);
        assert_eq!((signed_in["accessToken"].as_str(), &signed_in["globalAdmin"]), (Some(token.as_str()), &json!(true)));
        nobody.get(&format!("/nacos/v1/ns/instance/list?serviceName=x&username=any&password={token}")).await.expect(200);
        nobody.send(nobody.request(Method::POST, "/nacos/v1/auth/login?username=any&password=looma_wrong")).await.expect(403);
    }

    /// A sign-in that is remembered for its name and password ends with its session, and with the password.
    async fn what_is_remembered_of_a_sign_in_ends_with_it(looma: TestServer) {
        let user = json!({"username": "ann", "password": ADMIN_PASSWORD, "role": "viewer"});
        let admin = looma.admin().await;
        let user = admin.post("/users", &user).await.expect(201);
        let list = format!("/nacos/v1/ns/instance/list?serviceName=x&username=ann&password={ADMIN_PASSWORD}");
        let nobody = looma.anonymous();
        nobody.get(&list).await.expect(200);
        nobody.get(&list).await.expect(200);
        let ann = looma.sign_in("ann", ADMIN_PASSWORD).await;
        let sessions = ann.get("/auth/sessions").await.expect(200);
        assert_eq!(sessions["items"].as_array().unwrap().len(), 2, "the second request took the first's session: {sessions}");
        nobody.get(&list).await.expect(200);
        for session in sessions["items"].as_array().unwrap() {
            admin.delete(&format!("/auth/sessions/{}", session["session_id"].as_str().unwrap())).await.expect(204);
        }
        nobody.get(&list).await.expect(200);
        admin.patch(&format!("/users/{}", user["user_id"].as_str().unwrap()), &json!({"status": "inactive"})).await.expect(200);
        nobody.get(&list).await.expect(403);
    }

    /// Consul's clients put the token into one of three places; the most specific one counts.
    async fn consul_tokens_may_stand_in_three_places(looma: TestServer) {
        let token = token(looma.admin().await, &[Scope::ServicesRead]).await;
        let nobody = looma.anonymous();
        let path = "/v1/catalog/services";
        let by_header = |token: &str| nobody.request(Method::GET, path).header("x-consul-token", token);
        nobody.send(by_header(&token)).await.expect(200);
        nobody.send(by_header(&token).header("authorization", "Basic Og==")).await.expect(200);
        looma.with_token(&token).get(path).await.expect(200);
        nobody.get(&format!("{path}?token={token}")).await.expect(200);
        let refused: Answer = nobody.send(by_header("looma_wrong")).await;
        assert_eq!(refused.status, 403);
        assert!(String::from_utf8_lossy(&refused.bytes).starts_with("Permission denied"), "{refused:?}");
    }
}

/// A surface that is switched off is not there, and the other one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_surface_can_be_switched_off() {
    for (nacos, consul) in [(false, true), (true, false)] {
        let store = Store::sqlite();
        let mut settings = store.settings();
        (settings.gateway.nacos, settings.gateway.consul) = (nacos, consul);
        let looma = TestServer::start_with(store, settings).await;
        let there = |is: bool| if is { 200 } else { 404 };
        let admin = looma.admin().await;
        admin.get("/nacos/v1/ns/operator/metrics").await.expect(there(nacos));
        for path in ["/consul/v1/status/leader", "/v1/status/leader"] {
            admin.get(path).await.expect(there(consul));
        }
        looma.stop().await;
    }
}
