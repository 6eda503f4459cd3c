//! Guests that want more than their own keys.

use super::*;

/// A test on each database that there is.
async fn on_each(claim: impl AsyncFn(&Host)) {
    for store in [Some(Store::sqlite()), Store::postgres().await].into_iter().flatten() {
        let host = Host::start_on(store, |_| ()).await;
        claim(&host).await;
        host.stop().await;
    }
}

async fn bring_keys(host: &Host, name: &str, kv_bytes: u64) {
    host.grant(name, json!({"kv_bytes": kv_bytes, "deadline_ms": 20_000})).await;
    host.bring(name, Guest::read("keys").component(CallPath::Io, name)).await;
}

/// The quota bounds what is kept and how many keys there are, and nothing is kept without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_bound_keys_and_values() {
    on_each(async |host| {
        bring_keys(host, "keys", 0).await;
        let said = async |fields: &[&str]| {
            let answer = host.tell("keys", fields).await;
            message(&answer.json).to_owned()
        };
        assert_eq!(said(&["s", "key", "value"]).await, "plugin keys is granted no key-value store");
        host.grant("keys", json!({"kv_bytes": 1000, "deadline_ms": 20_000})).await;
        assert_eq!(said(&["s", "key", &"x".repeat(2000)]).await, "plugin keys is granted 1000 bytes");
        assert_eq!(said(&["s", &"k".repeat(513), "value"]).await, "too-large");
        assert_eq!(said(&["s", "", "value"]).await, "too-large");
        assert_eq!(said(&["s", "a\0b", "value"]).await, "a key has no NUL in it");
        host.grant("many-keys", json!({"kv_bytes": 6400, "deadline_ms": 20_000})).await;
        host.bring_guest("many-keys", CallPath::Io).await;
        let much = host.misdeed("many-keys", CallPath::Io).await;
        assert_eq!(Told::Says("plugin many-keys is granted 6400 bytes").differs(&much), None);
        host.grant("many-keys", json!({"kv_bytes": 64 << 20, "deadline_ms": 20_000})).await;
        let often = host.tell("many-keys", &["again"]).await;
        assert_eq!(Told::Says("this call asked for too many keys").differs(&often), None);
        host.grant("large-value", json!({"kv_bytes": 64 << 20, "deadline_ms": 20_000})).await;
        host.bring_guest("large-value", CallPath::Io).await;
        let large = host.misdeed("large-value", CallPath::Io).await;
        assert_eq!(Told::Says("0000000000000011").differs(&large), None);
        for plugin in ["keys", "many-keys", "large-value"] {
            host.assert_well(plugin, CallPath::Io).await;
        }
    })
    .await;
}

/// Whatever a key looks like, it is the plugin's own: no spelling leads to another's, and each comes back as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_lead_to_nobody_else() {
    on_each(async |host| {
        bring_keys(host, "victim", 1000).await;
        bring_keys(host, "spy", 10_000).await;
        host.tell("victim", &["s", "mark", "private"]).await.expect(200);
        let spellings = [
            "mark",
            "victim/mark",
            "victim:mark",
            "/victim/mark",
            "../victim/mark",
            "victim.mark",
            "neighbour/mark",
            "mark' OR plugin_name = 'victim",
            "mark\"; --",
            "%",
            "_ark",
            "$1",
            "märk",
            "mark\n",
            "☃",
            " mark",
        ];
        for key in spellings {
            assert_eq!(host.tell("spy", &["g", key]).await.expect(200)["next"], Value::Null, "{key:?}");
            host.tell("spy", &["s", key, &format!("of {key}")]).await.expect(200);
        }
        for key in spellings {
            assert_eq!(host.tell("spy", &["g", key]).await.expect(200)["next"], format!("of {key}"), "{key:?}");
            host.tell("spy", &["d", key]).await.expect(200);
        }
        assert_eq!(host.tell("victim", &["g", "mark"]).await.expect(200)["next"], "private");
        host.assert_well("victim", CallPath::Io).await;
    })
    .await;
}
