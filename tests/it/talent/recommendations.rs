//! Who fits a project, in the judgement of a matcher, and what became of it.

use std::collections::BTreeSet;

use looma_tests::{Client, both_databases};
use serde_json::{Value, json};

use super::{column, made, skill, talent};

/// A project that must have Rust and SQL and would like Go, and talents with all, some and none of it.
struct Scene {
    project: String,
    /// From the best to the worst.
    fitting: Vec<String>,
}

async fn scene(admin: &Client) -> Scene {
    let (rust, sql, go) = (skill(admin, "Rust").await, skill(admin, "SQL").await, skill(admin, "Go").await);
    let other = skill(admin, "Cooking").await;
    let wanted = json!([{"skill_id": rust, "level": 4}, {"skill_id": sql}, {"skill_id": go, "need": "nice"}]);
    let project = json!({"name": "Bridge", "description": "over water", "required_skills": wanted});
    let project = made(admin, "/projects", project).await;
    let mut fitting = Vec::new();
    for (name, skills) in [
        ("Ann", vec![(&rust, 5), (&sql, 5), (&go, 5)]),
        ("Bob", vec![(&rust, 5), (&sql, 5)]),
        ("Cyd", vec![(&rust, 1), (&sql, 1)]),
        ("Dan", vec![(&go, 5)]),
    ] {
        let body = json!({"name": name, "email": format!("{name}@example.com"), "current_position": "engineer"});
        let key = made(admin, "/talents", body).await;
        for (skill, level) in skills {
            let has = json!({"level": level, "last_used": "2025-12-01"});
            admin.put(&format!("/talents/{key}/skills/{skill}"), &has).await.expect(201);
        }
        fitting.push(key);
    }
    let cook = talent(admin, "Eve").await;
    admin.put(&format!("/talents/{cook}/skills/{other}"), &json!({})).await.expect(201);
    Scene { project, fitting }
}

/// The sum of the parts of a score.
fn sum(recommendation: &Value) -> f64 {
    recommendation["parts"].as_array().unwrap().iter().map(|part| part["value"].as_f64().unwrap()).sum()
}

both_databases! {
    /// The talents that have some of what is wanted are ranked, with parts that add up, reasons, and who judged.
    async fn the_best_come_first_and_it_is_said_why(looma: TestServer) {
        let admin = looma.admin().await;
        looma.load_plugins(&["skill-match"]).await;
        let Scene { project, fitting } = scene(admin).await;
        let list = admin.get(&format!("/projects/{project}/recommendations")).await.expect(200);
        assert_eq!(column(&list, "talent_id"), fitting);
        assert_eq!(column(&list, "name"), ["Ann", "Bob", "Cyd", "Dan"]);
        let plugin = admin.get("/plugins/skill-match").await.expect(200);
        for (item, position) in list["items"].as_array().unwrap().iter().zip(1..) {
            assert_eq!(item["position"], position);
            assert!((sum(item) - item["score"].as_f64().unwrap()).abs() < 1e-3, "{item}");
            assert_eq!(item["plugin"], json!({"name": "skill-match", "version": plugin["version"], "digest": plugin["digest"]}));
            assert_eq!(item["language"], "en");
        }
        let dan = &list["items"][3];
        let labels = |of: &Value| of.as_array().unwrap().iter().map(|e| e["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(labels(&dan["explanation"]["matched"]), ["Go"]);
        assert_eq!(labels(&dan["explanation"]["missing"]), ["Rust", "SQL"]);
        assert!((dan["signals"]["lexical"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-5, "{dan}");
        assert_eq!(dan["signals"]["vector"], 0.0);
    }

    /// Pages of any size show each candidate once, in the order of the whole ranking, with its place in it.
    async fn pages_of_a_ranking(looma: TestServer) {
        let admin = looma.admin().await;
        looma.load_plugins(&["skill-match"]).await;
        let Scene { project, fitting } = scene(admin).await;
        let path = format!("/projects/{project}/recommendations");
        for limit in 1..=4 {
            let (mut seen, mut places, mut after) = (Vec::new(), Vec::new(), String::new());
            loop {
                let page = admin.get(&format!("{path}?limit={limit}{after}")).await.expect(200);
                seen.extend(column(&page, "talent_id"));
                places.extend(page["items"].as_array().unwrap().iter().map(|item| item["position"].as_i64().unwrap()));
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!((seen, places), (fitting.clone(), vec![1, 2, 3, 4]), "{limit}");
        }
        for (query, pointer) in [("limit=0", "/limit"), ("after=x", "/after")] {
            assert_eq!(admin.get(&format!("{path}?{query}")).await.pointers(), [pointer]);
        }
    }

    /// Reasons come in the language that the caller prefers.
    async fn reasons_in_chinese(looma: TestServer) {
        let admin = looma.admin().await;
        looma.load_plugins(&["skill-match"]).await;
        let Scene { project, .. } = scene(admin).await;
        let path = format!("/projects/{project}/recommendations?limit=1");
        let asked = |wanted| admin.request(reqwest::Method::GET, &path).header("accept-language", wanted);
        let chinese = admin.send(asked("zh-CN,zh;q=0.9,en;q=0.1")).await.expect(200);
        assert_eq!(chinese["items"][0]["language"], "zh");
        assert!(chinese["items"][0]["explanation"]["text"].as_str().unwrap().contains("必备技能"), "{chinese}");
        let english = admin.send(asked("en")).await.expect(200);
        assert!(english["items"][0]["explanation"]["text"].as_str().unwrap().starts_with("Has 2 of 2"), "{english}");
    }

    /// What was shown is logged under its own key each time, and takes feedback; the last word counts.
    async fn feedback_is_kept(looma: TestServer) {
        let admin = looma.admin().await;
        looma.load_plugins(&["skill-match"]).await;
        let Scene { project, .. } = scene(admin).await;
        let path = format!("/projects/{project}/recommendations?limit=2");
        let first = admin.get(&path).await.expect(200);
        let second = admin.get(&path).await.expect(200);
        let mut keys: BTreeSet<_> = column(&first, "recommendation_id").into_iter().collect();
        keys.extend(column(&second, "recommendation_id"));
        assert_eq!(keys.len(), 4);
        let mut shown = first["items"][1].clone();
        let one = format!("/recommendations/{}/feedback", shown["recommendation_id"].as_str().unwrap());
        admin.post(&one, &json!({"feedback": "contacted"})).await.expect(200);
        let kept = admin.post(&one, &json!({"feedback": "hired", "comment": "at last"})).await.expect(200);
        // The log has what was shown, and who it is by key alone.
        for field in ["name", "current_position"] {
            shown.as_object_mut().unwrap().remove(field);
        }
        shown["feedback"] = json!("hired");
        shown["comment"] = json!("at last");
        shown["feedback_at"] = json!(looma.app().clock.now());
        assert_eq!(kept, shown);
        for (body, pointer) in [
            (json!({}), "/feedback"),
            (json!({"feedback": "good"}), "/feedback"),
            (json!({"feedback": "hired", "comment": "\u{0}"}), "/comment"),
        ] {
            assert_eq!(admin.post(&one, &body).await.pointers(), [pointer], "{body}");
        }
        for id in ["none", "%00"] {
            admin.post(&format!("/recommendations/{id}/feedback"), &json!({"feedback": "hired"})).await.expect(404);
        }
    }

    /// Who is deleted, or not to be asked, is not recommended; nor is anybody without a demand or a matcher.
    async fn who_is_not_recommended(looma: TestServer) {
        let admin = looma.admin().await;
        let Scene { project, fitting } = scene(admin).await;
        let path = format!("/projects/{project}/recommendations");
        assert_eq!(admin.get(&path).await.pointers(), ["/matcher"]);
        looma.load_plugins(&["skill-match", "log"]).await;
        admin.delete(&format!("/talents/{}", fitting[0])).await.expect(204);
        admin.patch(&format!("/talents/{}", fitting[1]), &json!({"status": "inactive"})).await.expect(200);
        assert_eq!(column(&admin.get(&path).await.expect(200), "talent_id"), fitting[2..]);
        for matcher in ["log", "none", "Not a name"] {
            assert_eq!(admin.get(&format!("{path}?matcher={matcher}")).await.pointers(), ["/matcher"], "{matcher}");
        }
        admin.post("/plugins/skill-match/disable", &json!({})).await.expect(200);
        let refused = admin.get(&path).await;
        assert!(refused.header("retry-after").is_some());
        refused.expect(503);
        let idle = made(admin, "/projects", json!({"name": "idle"})).await;
        admin.get(&format!("/projects/{idle}/recommendations")).await.expect(409);
        admin.get("/projects/none/recommendations").await.expect(404);
    }
}
