//! What belongs to one talent.

use looma_tests::both_databases;
use reqwest::Method;
use serde_json::{Value, json};

use super::{column, made, skill, talent};

/// Parts with keys of their own: path, key, one, another.
fn owned(other: &str, company: &str) -> [(&'static str, &'static str, Value, Value); 4] {
    [
        (
            "experiences",
            "experience_id",
            json!({"company_name": "Acme", "company_id": company, "position": "dev", "description": "things\nmade", "start_date": "2020-01-01", "end_date": "2020-01-01"}),
            json!({"company_name": "Acme", "company_id": null, "position": "lead", "description": null, "start_date": null, "end_date": null}),
        ),
        (
            "educations",
            "education_id",
            json!({"university": "PKU", "education_level": "master", "major": "physics", "start_date": "2015-09-01", "end_date": "2018-07-01"}),
            json!({"university": "THU", "education_level": null, "major": null, "start_date": null, "end_date": null}),
        ),
        (
            "certifications",
            "certification_id",
            json!({"name": "CKA", "issuer": "CNCF", "credential_id": "7", "credential_url": "https://x.example/7", "issue_date": "2024-01-01", "expiry_date": "2027-01-01"}),
            json!({"name": "CKA", "issuer": null, "credential_id": null, "credential_url": null, "issue_date": null, "expiry_date": "2030-01-01"}),
        ),
        (
            "relationships",
            "relationship_id",
            json!({"related_talent_id": other, "relationship_type": "introduced_by", "strength": 0.8, "note": "2019"}),
            json!({"related_talent_id": other, "relationship_type": "同事", "strength": 1.0, "note": null}),
        ),
    ]
}

both_databases! {
    /// A skill of a talent is made, replaced, listed with its name, and removed.
    async fn skills_of_a_talent(looma: TestServer) {
        let admin = looma.admin().await;
        let (who, rust) = (talent(admin, "a").await, skill(admin, "Rust").await);
        let path = format!("/talents/{who}/skills/{rust}");
        let body = json!({"level": 4, "months": 30, "last_used": "2025-12-01", "endorsements": 2});
        let made = admin.put(&path, &body).await.expect(201);
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&made[field], value);
        }
        assert_eq!((&made["skill_name"], &made["talent_id"]), (&json!("Rust"), &json!(who)));
        assert_eq!(admin.get(&path).await.expect(200), made);
        let replaced = admin.put(&path, &json!({})).await.expect(200);
        assert_eq!((&replaced["level"], &replaced["months"], &replaced["endorsements"]), (&json!(null), &json!(null), &json!(0)));
        let python = skill(admin, "Python").await;
        admin.put(&format!("/talents/{who}/skills/{python}"), &json!({"level": 2})).await.expect(201);
        let list = format!("/talents/{who}/skills");
        let mut names = column(&admin.get(&list).await.expect(200), "skill_name");
        names.sort();
        assert_eq!(names, ["Python", "Rust"]);
        assert_eq!(column(&admin.get(&format!("{list}?level=2")).await.expect(200), "skill_name"), ["Python"]);
        let first = admin.get(&format!("{list}?limit=1")).await.expect(200);
        let second = admin.get(&format!("{list}?limit=1&after={}", first["next"].as_str().unwrap())).await.expect(200);
        assert_ne!(column(&first, "skill_id"), column(&second, "skill_id"));
        assert_eq!(second["next"], json!(null));
        let with_it = admin.get(&format!("/talents?skill_id={python}")).await.expect(200);
        assert_eq!(column(&with_it, "talent_id"), [who]);
        admin.delete(&format!("/skills/{python}")).await.expect(409);
        admin.delete(&format!("{list}/{python}")).await.expect(204);
        admin.delete(&format!("{list}/{python}")).await.expect(404);
        admin.delete(&format!("/skills/{python}")).await.expect(204);
        admin.put(&format!("{list}/{python}"), &json!({})).await.expect(404);
    }

    /// A place in a project is made, replaced and removed; a deleted project does not show.
    async fn projects_of_a_talent(looma: TestServer) {
        let admin = looma.admin().await;
        let who = talent(admin, "a").await;
        let project = made(admin, "/projects", json!({"name": "Bridge"})).await;
        let list = format!("/talents/{who}/projects");
        let body = json!({"role": "lead", "start_date": "2026-01-01", "end_date": null});
        let put = admin.put(&format!("{list}/{project}"), &body).await.expect(201);
        assert_eq!((&put["project_name"], &put["role"]), (&json!("Bridge"), &json!("lead")));
        assert_eq!(column(&admin.get(&format!("/talents?project_id={project}")).await.expect(200), "talent_id"), [who.as_str()]);
        admin.delete(&format!("/projects/{project}")).await.expect(204);
        assert!(column(&admin.get(&list).await.expect(200), "project_id").is_empty());
        admin.put(&format!("{list}/{project}"), &body).await.expect(404);
        admin.post(&format!("/projects/{project}/restore"), &json!({})).await.expect(200);
        assert_eq!(column(&admin.get(&list).await.expect(200), "project_id"), [project.as_str()]);
        admin.delete(&format!("{list}/{project}")).await.expect(204);
        admin.get(&format!("{list}/{project}")).await.expect(404);
    }

    /// Parts with keys of their own are made, read, replaced, guarded by their tag, and removed.
    async fn owned_parts(looma: TestServer) {
        let admin = looma.admin().await;
        let (who, other) = (talent(admin, "a").await, talent(admin, "b").await);
        let company = made(admin, "/companies", json!({"name": "Acme"})).await;
        for (name, key_field, first, second) in owned(&other, &company) {
            let list = format!("/talents/{who}/{name}");
            let key = made(admin, &list, first.clone()).await;
            let one = format!("{list}/{key}");
            let read = admin.get(&one).await;
            let tag = read.header("etag").unwrap().to_owned();
            let read = read.expect(200);
            for (field, value) in first.as_object().unwrap() {
                assert_eq!(&read[field], value, "{name} {field}");
            }
            looma.advance(std::time::Duration::from_secs(1));
            let replaced = admin.put(&one, &second).await.expect(200);
            for (field, value) in second.as_object().unwrap() {
                assert_eq!(&replaced[field], value, "{name} {field}");
            }
            assert_eq!(replaced["created_at"], read["created_at"]);
            assert_ne!(replaced["updated_at"], read["updated_at"]);
            assert_eq!(admin.get(&list).await.expect(200)["items"], json!([replaced]));
            admin.send(admin.request(Method::PUT, &one).header("if-match", &tag).json(&first)).await.expect(412);
            admin.send(admin.request(Method::DELETE, &one).header("if-match", &tag)).await.expect(412);
            // It is a part of this talent alone.
            for stranger in [format!("/talents/{other}/{name}/{key}"), format!("{list}/none"), format!("{list}/%00")] {
                admin.get(&stranger).await.expect(404);
                admin.put(&stranger, &second).await.expect(404);
                admin.delete(&stranger).await.expect(404);
            }
            admin.delete(&one).await.expect(204);
            assert!(column(&admin.get(&list).await.expect(200), key_field).is_empty());
        }
    }

    /// A relationship has a direction, shows in both lists, and is there once; who is deleted does not show.
    async fn relationships_have_two_sides(looma: TestServer) {
        let admin = looma.admin().await;
        let (a, b) = (talent(admin, "a").await, talent(admin, "b").await);
        let body = json!({"related_talent_id": b, "relationship_type": "manager"});
        let key = made(admin, &format!("/talents/{a}/relationships"), body.clone()).await;
        admin.post(&format!("/talents/{a}/relationships"), &body).await.expect(409);
        let back = json!({"related_talent_id": a, "relationship_type": "manager"});
        made(admin, &format!("/talents/{b}/relationships"), back).await;
        for side in [&a, &b] {
            let seen = admin.get(&format!("/talents/{side}/relationships?related_talent_id={b}")).await.expect(200);
            assert_eq!(column(&seen, "relationship_id"), [key.as_str()]);
            assert_eq!((&seen["items"][0]["talent_id"], &seen["items"][0]["strength"]), (&json!(a), &json!(0.5)));
            assert_eq!(column(&admin.get(&format!("/talents/{side}/relationships")).await.expect(200), "talent_id").len(), 2);
        }
        admin.delete(&format!("/talents/{b}")).await.expect(204);
        assert!(column(&admin.get(&format!("/talents/{a}/relationships")).await.expect(200), "talent_id").is_empty());
        admin.post(&format!("/talents/{b}/restore"), &json!({})).await.expect(200);
        assert_eq!(column(&admin.get(&format!("/talents/{a}/relationships")).await.expect(200), "talent_id").len(), 2);
    }

    /// Two talents may be related to each other by many at once, and none waits for another in a circle.
    async fn both_sides_at_once(looma: TestServer) {
        let admin = looma.admin().await;
        let (a, b) = (talent(admin, "a").await, talent(admin, "b").await);
        let mut writing = tokio::task::JoinSet::new();
        for n in 0..40 {
            let (from, to) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
            let path = format!("/talents/{from}/relationships");
            let body = json!({"related_talent_id": to, "relationship_type": format!("t{n}")});
            let client = admin.clone();
            writing.spawn(async move { client.post(&path, &body).await.status });
        }
        let answers = writing.join_all().await;
        assert!(answers.iter().all(|status| *status == 201), "{answers:?}");
    }

    /// Every fault of a part is told, where it is, and nothing of a deleted talent is written.
    async fn faults_of_parts(looma: TestServer) {
        let admin = looma.admin().await;
        let (who, rust) = (talent(admin, "a").await, skill(admin, "Rust").await);
        let project = made(admin, "/projects", json!({"name": "p"})).await;
        let backwards = json!({"start_date": "2026-01-02", "end_date": "2026-01-01"});
        let bad = [
            (Method::PUT, format!("skills/{rust}"), json!({"level": 0, "months": -1, "endorsements": -1}), vec!["/endorsements", "/level", "/months"]),
            (Method::PUT, format!("skills/{rust}"), json!({"level": "good", "last_used": "today"}), vec!["/last_used", "/level"]),
            (Method::PUT, format!("projects/{project}"), backwards.clone(), vec!["/end_date"]),
            (
                Method::POST,
                "experiences".to_owned(),
                json!({"company_name": "", "position": "a\u{0}", "company_id": "none", "start_date": "2026-01-02", "end_date": "2026-01-01"}),
                vec!["/company_id", "/company_name", "/end_date", "/position"],
            ),
            (Method::POST, "educations".to_owned(), backwards, vec!["/university"]),
            (
                Method::POST,
                "certifications".to_owned(),
                json!({"name": "x", "credential_url": "x", "issue_date": "2026-01-02", "expiry_date": "2026-01-01"}),
                vec!["/credential_url", "/expiry_date"],
            ),
            (
                Method::POST,
                "relationships".to_owned(),
                json!({"related_talent_id": who, "relationship_type": "a b", "strength": 1.5}),
                vec!["/related_talent_id", "/relationship_type", "/strength"],
            ),
            (
                Method::POST,
                "relationships".to_owned(),
                json!({"related_talent_id": "a\u{0}", "relationship_type": "x"}),
                vec!["/related_talent_id"],
            ),
        ];
        for (method, path, body, expected) in bad {
            let answer = admin.send(admin.request(method, &format!("/talents/{who}/{path}")).json(&body)).await;
            let mut pointers = answer.pointers();
            pointers.sort_unstable();
            pointers.dedup();
            assert_eq!(pointers, expected, "{path} {body}: {}", answer.json);
            answer.expect(422);
        }
        admin.put(&format!("/talents/{who}/skills/none"), &json!({})).await.expect(404);
        admin.put(&format!("/talents/{who}/skills/%00"), &json!({})).await.expect(404);
        admin.delete(&format!("/talents/{who}")).await.expect(204);
        admin.get(&format!("/talents/{who}/skills")).await.expect(404);
        admin.put(&format!("/talents/{who}/skills/{rust}"), &json!({})).await.expect(404);
        admin.post(&format!("/talents/{who}/educations"), &json!({"university": "x"})).await.expect(404);
    }

    /// A change of a part tells the feed whose it is, and nothing else.
    async fn parts_are_not_on_the_feed(looma: TestServer) {
        let admin = looma.admin().await;
        let who = talent(admin, "a").await;
        let before = looma.app().feed.head();
        made(admin, &format!("/talents/{who}/educations"), json!({"university": "PKU"})).await;
        let changes = looma.app().feed.after(before, 10).await.unwrap().unwrap();
        let told: Vec<_> = changes.iter().map(|change| (change.topic.as_str(), change.value.clone())).collect();
        assert_eq!(told, [("talents", Some(json!({"talent_id": who}).to_string()))]);
        let audit = admin.get("/audit-logs?resource_type=talent_educations").await.expect(200);
        assert_eq!(column(&audit, "action"), ["create"]);
        assert_eq!(audit["items"][0]["after"]["university"], "PKU");
    }
}
