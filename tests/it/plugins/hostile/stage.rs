//! Guests that misbehave before they serve: when they are made, asked who they are, or asked about a configuration.

use super::*;

/// None comes in, whichever way it is made; the reason is told, and neighbours are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_say_who_it_is_does_not_come_in() {
    let host = Host::start().await;
    let late = "it does not say who it is: the plugin did not answer within its deadline";
    for path in CallPath::ALL {
        for (guest, words) in [
            ("spin-at-start", late),
            ("spin-at-describe", late),
            ("crash-at-start", "it does not say who it is: the plugin crashed: wasm trap: wasm `unreachable`"),
            ("name-without-end", "is not a plugin name"),
            ("name-not-utf8", "it does not say who it is: the plugin crashed: invalid utf-8"),
            ("schema-no-json", "its configuration schema is not JSON"),
        ] {
            let refused = host.upload(component(guest, path)).await.expect(422);
            let detail = message(&refused);
            assert!(detail.contains(words) && detail.len() < 2_100, "{guest}: {detail}");
            assert_eq!(host.neighbours_harmed().await, None);
        }
    }
    host.stop().await;
}

/// In the folder too: the file is shown as failed with its reason, and the version before serves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_that_hangs_at_its_start_leaves_the_one_before() {
    let host = Host::start().await;
    let good = host.bring("judge", Guest::read("unreachable").component(CallPath::Pure, "judge")).await;
    let file = host.looma.app().settings.plugins_dir().join("judge.wasm");
    for (guest, words) in [
        ("spin-at-start", "did not answer within its deadline"),
        ("spin-at-describe", "did not answer within its deadline"),
        ("crash-at-start", "the plugin crashed"),
    ] {
        std::fs::write(&file, Guest::read(guest).component(CallPath::Pure, "judge")).unwrap();
        host.looma.run_task("plugins.scan").await;
        let plugin = host.looma.admin().await.get("/plugins/judge").await.expect(200);
        assert_eq!((&plugin["state"], &plugin["digest"]), (&json!("failed"), &good["digest"]), "{plugin}");
        assert!(plugin["error"].as_str().unwrap().contains(words), "{plugin}");
        assert_eq!(host.not_well("judge", CallPath::Pure).await, None);
        assert_eq!(host.neighbours_harmed().await, None);
    }
    host.stop().await;
}

/// A plugin that hangs over a configuration fails that question alone, is not held to blame for it, and does not take the place of
/// a version that a rule uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_that_hangs_is_given_up() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let name = format!("spin-at-check-{}", path.as_str());
        host.bring(&name, Guest::read("spin-at-check").component(path, &name)).await;
        for _ in 0..6 {
            let answer = host.check(&name, json!({"misdeed": true})).await;
            assert_eq!(Told::Timeout.differs(&answer), None);
        }
        host.assert_well(&name, path).await;
        let judge = format!("judge-{}", path.as_str());
        let good = host.bring(&judge, Guest::read("unreachable").component(path, &judge)).await;
        host.looma.app().plugins.use_config("rule:7", &judge.parse().unwrap(), "{\"misdeed\":true}");
        let refused = host.upload(Guest::read("spin-at-check").component(path, &judge)).await.expect(422);
        let detail = message(&refused);
        let words = "it cannot check the configuration of rule:7: the plugin did not answer within its deadline";
        assert!(detail.contains(words), "{detail}");
        let plugin = host.looma.admin().await.get(&format!("/plugins/{judge}")).await.expect(200);
        assert_eq!(plugin["digest"], good["digest"]);
        assert_eq!(host.not_well(&judge, path).await, None);
    }
    host.stop().await;
}

/// Of ten thousand faults in a configuration a hundred are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_cut_to_a_hundred() {
    let host = Host::start().await;
    host.bring_guest("problems-without-end", CallPath::Pure).await;
    let answer = host.check("problems-without-end", json!({"misdeed": true})).await.expect(200);
    assert_eq!((&answer["valid"], answer["errors"].as_array().unwrap().len()), (&json!(false), 100));
    host.assert_well("problems-without-end", CallPath::Pure).await;
    host.stop().await;
}
