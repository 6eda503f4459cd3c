//! Making, reading, changing, deleting and restoring the main things.

use looma_tests::both_databases;
use reqwest::Method;
use serde_json::json;

use super::{column, made, skill, talent};

/// Each of the main things: path, key, something that can be made, a patch.
fn things() -> [(&'static str, &'static str, serde_json::Value, serde_json::Value); 4] {
    [
        (
            "/talents",
            "talent_id",
            json!({"name": "张三", "email": "San.Zhang@example.com", "phone": "+86 10 1234", "avatar": "https://x.example/a.png",
                "current_position": "engineer", "current_company": "Acme", "industry": "software", "education_level": "master",
                "major": "physics", "university": "PKU", "status": "passive"}),
            json!({"phone": null, "status": "placed"}),
        ),
        (
            "/skills",
            "skill_id",
            json!({"name": "Rust", "category": "language", "description": "safe\nand fast", "icon": "crab"}),
            json!({"icon": null, "category": "systems"}),
        ),
        (
            "/companies",
            "company_id",
            json!({"name": "Acme", "industry": "traps", "size": "50-200", "location": "desert", "website": "https://acme.example"}),
            json!({"size": null, "location": "moon"}),
        ),
        (
            "/projects",
            "project_id",
            json!({"name": "Bridge", "description": "over water", "start_date": "2026-01-01", "end_date": "2026-02-01",
                "status": "active", "company_id": null, "required_skills": []}),
            json!({"end_date": null, "status": "completed"}),
        ),
    ]
}

both_databases! {
    /// What was made is read back with every field, and a merge patch changes what it names alone.
    async fn made_read_and_patched(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, key_field, body, patch) in things() {
            let key = made(admin, path, body.clone()).await;
            let one = format!("{path}/{key}");
            let mut read = admin.get(&one).await.expect(200);
            for (field, value) in body.as_object().unwrap() {
                assert_eq!(&read[field], value, "{path} {field}");
            }
            assert_eq!((&read[key_field], &read["is_deleted"]), (&json!(key), &json!(false)));
            looma.advance(std::time::Duration::from_secs(1));
            let patched = admin.patch(&one, &patch).await.expect(200);
            for (field, value) in patch.as_object().unwrap() {
                read[field] = value.clone();
            }
            read["updated_at"] = json!(looma.app().clock.now());
            assert_ne!(read["updated_at"], read["created_at"]);
            assert_eq!(patched, read, "{path}");
            assert_eq!(admin.get(&one).await.expect(200), read, "{path}");
        }
    }

    /// PUT replaces: what is not sent is gone.
    async fn put_replaces(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, _, body, _) in things() {
            let key = made(admin, path, body.clone()).await;
            let put = admin.put(&format!("{path}/{key}"), &json!({"name": "other"})).await.expect(200);
            let empty = body.as_object().unwrap().keys().filter(|field| !["name", "status", "required_skills"].contains(&field.as_str()));
            for field in empty {
                assert_eq!(put[field], json!(null), "{path} {field}");
            }
            assert_eq!(put, admin.get(&format!("{path}/{key}")).await.expect(200));
        }
    }

    /// A deleted thing is not there any more, and is as it was when it is restored.
    async fn deletion_is_soft(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, key_field, body, patch) in things() {
            let key = made(admin, path, body).await;
            let one = format!("{path}/{key}");
            let before = admin.get(&one).await.expect(200);
            admin.delete(&one).await.expect(204);
            admin.get(&one).await.expect(404);
            admin.patch(&one, &patch).await.expect(404);
            admin.put(&one, &json!({"name": "x"})).await.expect(404);
            admin.delete(&one).await.expect(404);
            assert!(column(&admin.get(path).await.expect(200), key_field).is_empty());
            let deleted = admin.get(&format!("{path}?deleted=true")).await.expect(200);
            assert_eq!((column(&deleted, key_field), &deleted["items"][0]["is_deleted"]), (vec![key], &json!(true)));
            let restored = admin.post(&format!("{one}/restore"), &json!({})).await.expect(200);
            assert_eq!(restored, before, "{path}");
            assert_eq!(admin.get(&one).await.expect(200), before, "{path}");
            assert_eq!(admin.post(&format!("{one}/restore"), &json!({})).await.expect(200), before);
        }
    }

    /// A tag spares a body that is known, and keeps a write from undoing another.
    async fn tags_guard(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, _, body, patch) in things() {
            let key = made(admin, path, body).await;
            let one = format!("{path}/{key}");
            let read = admin.get(&one).await;
            let tag = read.header("etag").unwrap().to_owned();
            let with = |method, name: &'static str| admin.request(method, &one).header(name, &tag);
            admin.send(with(Method::GET, "if-none-match")).await.expect(304);
            admin.send(with(Method::PATCH, "if-match").json(&patch)).await.expect(200);
            admin.send(with(Method::GET, "if-none-match")).await.expect(200);
            admin.send(with(Method::PATCH, "if-match").json(&patch)).await.expect(412);
            admin.send(with(Method::PUT, "if-match").json(&json!({"name": "x"}))).await.expect(412);
            admin.send(with(Method::DELETE, "if-match")).await.expect(412);
        }
    }

    /// Every fault is told, where it is.
    async fn every_fault_is_told(looma: TestServer) {
        let admin = looma.admin().await;
        let bad = [
            (
                "/talents",
                json!({"name": " ", "email": "nobody", "phone": "1\u{0}", "avatar": "", "industry": "x".repeat(201)}),
                vec!["/avatar", "/email", "/industry", "/name", "/phone"],
            ),
            ("/talents", json!({"nam": "a", "status": "asleep", "email": 3}), vec!["/email", "/nam", "/name", "/status"]),
            ("/skills", json!({"name": "a\u{0}", "description": "b\u{0}", "category": ""}), vec!["/category", "/description", "/name"]),
            ("/companies", json!({"name": "x".repeat(201), "website": "ftp://x"}), vec!["/name", "/website"]),
            ("/companies", json!({"name": "a", "size": 3, "is_deleted": true}), vec!["/is_deleted", "/size"]),
            (
                "/projects",
                json!({"name": "", "start_date": "2026-02-01", "end_date": "2026-01-31", "company_id": "none",
                    "required_skills": [{"skill_id": "a\u{0}", "level": 6}, {"skill_id": "b", "months": -1}, {"skill_id": "b"}]}),
                vec![
                    "/company_id", "/end_date", "/name", "/required_skills/0/level", "/required_skills/0/skill_id",
                    "/required_skills/1/months", "/required_skills/1/skill_id", "/required_skills/2/skill_id", "/required_skills/2/skill_id",
                ],
            ),
            ("/projects", json!({"name": "a", "start_date": "01.02.2026", "end_date": "2026", "status": ""}), vec!["/end_date", "/start_date", "/status"]),
            ("/projects", json!({"name": "a", "start_date": "2026-02-30"}), vec!["/start_date"]),
        ];
        for (path, body, expected) in bad {
            let answer = admin.post(path, &body).await;
            let mut pointers = answer.pointers();
            pointers.sort_unstable();
            pointers.dedup_by(|a, b| a == b && !a.starts_with("/required"));
            assert_eq!(pointers, expected, "{path} {body}: {}", answer.json);
            answer.expect(422);
            assert!(column(&admin.get(path).await.expect(200), "name").is_empty());
        }
    }

    /// A patch is judged by what comes of it.
    async fn a_patch_is_checked(looma: TestServer) {
        let admin = looma.admin().await;
        let key = made(admin, "/projects", json!({"name": "a", "start_date": "2026-02-01"})).await;
        let one = format!("/projects/{key}");
        let before = admin.get(&one).await.expect(200);
        for (patch, pointer) in [
            (json!({"end_date": "2026-01-01"}), "/end_date"),
            (json!({"name": null}), "/name"),
            (json!({"is_deleted": true}), "/is_deleted"),
            (json!({"project_id": "x"}), "/project_id"),
        ] {
            let answer = admin.patch(&one, &patch).await;
            assert_eq!(answer.pointers(), [pointer], "{patch}: {}", answer.json);
            answer.expect(422);
        }
        admin.patch(&one, &json!([1])).await.expect(422);
        assert_eq!(admin.get(&one).await.expect(200), before);
    }

    /// Two skills do not have one name, nor two talents one email, whatever the case; a deleted one is not in the way.
    async fn rivals_are_refused(looma: TestServer) {
        let admin = looma.admin().await;
        for (path, first, second) in [
            ("/skills", json!({"name": "Überblick"}), json!({"name": " überblick "})),
            ("/talents", json!({"name": "a", "email": "A@example.com"}), json!({"name": "b", "email": "a@Example.com"})),
        ] {
            let key = made(admin, path, first).await;
            let detail = admin.post(path, &second).await.expect(409)["detail"].clone();
            assert!(detail.as_str().unwrap().contains(&key), "{detail}");
            let other = made(admin, path, json!({"name": "other"})).await;
            admin.patch(&format!("{path}/{other}"), &second).await.expect(409);
            admin.delete(&format!("{path}/{key}")).await.expect(204);
            made(admin, path, second).await;
            admin.post(&format!("{path}/{key}/restore"), &json!({})).await.expect(409);
        }
    }

    /// A project wants skills in the order that it was told them in, and a skill or company that it names is not deleted.
    async fn references_are_kept(looma: TestServer) {
        let admin = looma.admin().await;
        let company = made(admin, "/companies", json!({"name": "Acme"})).await;
        let (b, a) = (skill(admin, "b").await, skill(admin, "a").await);
        let wanted = json!([
            {"skill_id": a, "need": "must", "level": 4, "months": 12},
            {"skill_id": b, "need": "nice", "level": null, "months": null},
        ]);
        let body = json!({"name": "Bridge", "company_id": company, "required_skills": wanted});
        let project = made(admin, "/projects", body).await;
        let one = format!("/projects/{project}");
        assert_eq!(admin.get(&one).await.expect(200)["required_skills"], wanted);
        assert_eq!(admin.get("/projects").await.expect(200)["items"][0]["required_skills"], wanted);
        assert_eq!(admin.patch(&one, &json!({"name": "Tunnel"})).await.expect(200)["required_skills"], wanted);
        for path in [format!("/companies/{company}"), format!("/skills/{a}"), format!("/skills/{b}")] {
            let detail = admin.delete(&path).await.expect(409)["detail"].clone();
            assert!(detail.as_str().unwrap().contains("in use"), "{detail}");
        }
        admin.patch(&one, &json!({"company_id": null, "required_skills": [{"skill_id": b}]})).await.expect(200);
        admin.delete(&format!("/companies/{company}")).await.expect(204);
        admin.delete(&format!("/skills/{a}")).await.expect(204);
        admin.delete(&format!("/skills/{b}")).await.expect(409);
        let answer = admin.patch(&one, &json!({"company_id": company, "required_skills": [{"skill_id": b}, {"skill_id": a}]})).await;
        assert_eq!(answer.pointers(), ["/company_id", "/required_skills/1/skill_id"]);
        answer.expect(422);
    }

    /// What the audit keeps of a change, the feed does not tell: it has the key alone.
    async fn people_are_not_on_the_feed(looma: TestServer) {
        let admin = looma.admin().await;
        let before = looma.app().feed.head();
        let key = made(admin, "/talents", json!({"name": "Jane Doe", "email": "jane@example.com"})).await;
        admin.patch(&format!("/talents/{key}"), &json!({"phone": "555"})).await.expect(200);
        admin.delete(&format!("/talents/{key}")).await.expect(204);
        let changes = looma.app().feed.after(before, 10).await.unwrap().unwrap();
        let told: Vec<_> = changes.iter().map(|change| (change.topic.as_str(), change.key.clone(), change.value.clone())).collect();
        let known = Some(json!({"talent_id": key}).to_string());
        assert_eq!(told, [("talents", key.clone(), known.clone()), ("talents", key.clone(), known), ("talents", key, None)]);
    }

    /// Who may not write, does not, and no name of a thing makes the server stumble.
    async fn strangers_are_refused(looma: TestServer) {
        let admin = looma.admin().await;
        let key = talent(admin, "a").await;
        for (path, ..) in things() {
            looma.anonymous().get(path).await.expect(401);
            looma.anonymous().post(path, &json!({"name": "x"})).await.expect(401);
            for id in ["none", "%00", "a%00b", "%27", "%F0%9F%A6%80"] {
                admin.get(&format!("{path}/{id}")).await.expect(404);
                admin.delete(&format!("{path}/{id}")).await.expect(404);
                admin.patch(&format!("{path}/{id}"), &json!({})).await.expect(404);
                admin.post(&format!("{path}/{id}/restore"), &json!({})).await.expect(404);
            }
        }
        assert_eq!(admin.get(&format!("/talents/{key}")).await.expect(200)["name"], "a");
    }
}
