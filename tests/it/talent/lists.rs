//! Lists of the main things: pages, order, filters.

use std::time::Duration;

use looma_tests::{Client, both_databases};
use serde_json::json;

use super::{column, made, skill};

/// Every value of `field`, page after page.
async fn walk(client: &Client, path: &str, field: &str, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut page = client.get(&format!("{path}limit={limit}")).await.expect(200);
    loop {
        let items = column(&page, field);
        assert!(items.len() <= limit);
        all.extend(items);
        let Some(next) = page["next"].as_str() else { return all };
        page = client.get(&format!("{path}limit={limit}&after={next}")).await.expect(200);
    }
}

both_databases! {
    /// Pages of any size, in any order, show each row once, though many rows tie.
    async fn pages_show_each_row_once(looma: TestServer) {
        let admin = looma.admin().await;
        let mut keys = Vec::new();
        for i in 0..23 {
            if i % 7 == 0 {
                looma.advance(Duration::from_secs(1));
            }
            let name = ["b", "B", "ä", "中", "a"][i % 5];
            keys.push(made(admin, "/talents", json!({"name": name})).await);
        }
        keys.sort();
        for sort in ["", "sort=created_at&", "sort=name&", "sort=-name&", "sort=name,-created_at&", "sort=-created_at,name&", "sort=updated_at,-name,created_at&"] {
            let path = format!("/talents?{sort}");
            let whole = column(&admin.get(&format!("{path}limit=1000")).await.expect(200), "talent_id");
            let mut sorted = whole.clone();
            sorted.sort();
            assert_eq!(sorted, keys, "{sort}");
            for limit in [1, 2, 5, 22, 23, 24] {
                assert_eq!(walk(admin, &path, "talent_id", limit).await, whole, "{sort} {limit}");
            }
        }
    }

    /// Rows that come and go between pages make no other row come twice or stay away.
    async fn pages_stand_while_rows_come_and_go(looma: TestServer) {
        let admin = looma.admin().await;
        let mut keys = Vec::new();
        for i in 0..6 {
            keys.push(made(admin, "/companies", json!({"name": format!("n{i}")})).await);
        }
        let first = admin.get("/companies?sort=name&limit=3").await.expect(200);
        admin.delete(&format!("/companies/{}", keys[2])).await.expect(204);
        made(admin, "/companies", json!({"name": "n0a"})).await;
        let rest = admin.get(&format!("/companies?sort=name&limit=10&after={}", first["next"].as_str().unwrap())).await.expect(200);
        assert_eq!(column(&rest, "name"), ["n3", "n4", "n5"]);
    }

    /// Names are in the order of their bytes, on either database, and times in the order of time.
    async fn order_is_the_same_on_both(looma: TestServer) {
        let admin = looma.admin().await;
        for name in ["b", "a", "B", "é", "中", "A b", "A", "Ab"] {
            looma.advance(Duration::from_secs(1));
            made(admin, "/companies", json!({"name": format!("{name}!{}", name.len())})).await;
        }
        let names = |list| column(&list, "name");
        assert_eq!(
            names(admin.get("/companies?sort=name").await.expect(200)),
            ["A b!3", "A!1", "Ab!2", "B!1", "a!1", "b!1", "é!2", "中!3"].map(str::to_owned).into_iter().collect::<Vec<_>>()
        );
        let newest = names(admin.get("/companies?sort=-created_at&limit=2").await.expect(200));
        assert_eq!(newest, ["Ab!2", "A!1"]);
    }

    /// Each filter finds what has the value, and nothing else.
    async fn filters_find(looma: TestServer) {
        let admin = looma.admin().await;
        let company = made(admin, "/companies", json!({"name": "c", "industry": "i", "size": "s", "location": "l"})).await;
        made(admin, "/companies", json!({"name": "d"})).await;
        let rust = made(admin, "/skills", json!({"name": "Rust", "category": "k"})).await;
        skill(admin, "other").await;
        let wanted = json!([{"skill_id": rust}]);
        let body = json!({"name": "p", "status": "active", "company_id": company, "start_date": "2026-01-01",
            "end_date": "2026-01-02", "required_skills": wanted});
        made(admin, "/projects", body).await;
        made(admin, "/projects", json!({"name": "q"})).await;
        let body = json!({"name": "t", "email": "T@example.com", "phone": "1 2", "current_position": "cp", "current_company": "cc",
            "industry": "i", "education_level": "el", "major": "m", "university": "u", "status": "placed"});
        made(admin, "/talents", body).await;
        made(admin, "/talents", json!({"name": "v"})).await;
        for (path, filters) in [
            ("/companies", vec!["name=c", "industry=i", "size=s", "location=l"]),
            ("/skills", vec!["name=rUST", "category=k"]),
            ("/projects", vec!["name=p", "status=active", "start_date=2026-01-01", "end_date=2026-01-02"]),
            (
                "/talents",
                vec![
                    "name=t", "email=t@EXAMPLE.com", "phone=1%202", "current_position=cp", "current_company=cc", "industry=i",
                    "education_level=el", "major=m", "university=u", "status=placed",
                ],
            ),
        ] {
            let all = format!("{path}?{}", filters.join("&"));
            for one in filters.iter().map(|filter| format!("{path}?{filter}")).chain([all]) {
                let found = column(&admin.get(&one).await.expect(200), "name");
                assert!(found.len() == 1 && ["c", "Rust", "p", "t"].contains(&found[0].as_str()), "{one}: {found:?}");
            }
            assert!(column(&admin.get(&format!("{path}?name=nobody")).await.expect(200), "name").is_empty());
        }
        for path in [format!("/projects?company_id={company}"), format!("/projects?skill_id={rust}")] {
            assert_eq!(column(&admin.get(&path).await.expect(200), "name"), ["p"], "{path}");
        }
    }

    /// What is no filter, no order, no size, no cursor of this list is refused by name.
    async fn wrong_questions_are_refused(looma: TestServer) {
        let admin = looma.admin().await;
        for name in ["a", "b"] {
            made(admin, "/companies", json!({"name": name})).await;
        }
        let by_name = admin.get("/companies?sort=name&limit=1").await.expect(200)["next"].as_str().unwrap().to_owned();
        for (query, pointer) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("sort=website", "/sort"),
            ("sort=name;DROP", "/sort"),
            ("after=x", "/after"),
            ("name=a%00", "/name"),
            (&format!("after={by_name}"), "/after"),
            (&format!("sort=-created_at,name&after={by_name}"), "/after"),
            (&format!("sort=created_at&after={by_name}"), "/after"),
            // [{"s":"\u0000"},{"s":"x"}]
            ("sort=name&after=W3sicyI6Ilx1MDAwMCJ9LHsicyI6IngifV0", "/after"),
        ] {
            let answer = admin.get(&format!("/companies?{query}")).await;
            assert_eq!(answer.pointers(), [pointer], "{query}: {}", answer.json);
            answer.expect(422);
        }
        for query in ["nam=x", "limit=many", "deleted=perhaps"] {
            admin.get(&format!("/companies?{query}")).await.expect(422);
        }
        admin.get("/talents?status=asleep").await.expect(422);
    }
}
