//! The server about itself.

use looma_tests::both_databases;

both_databases! {
    /// Probes need no token, and readiness rests on a write that is read back.
    async fn probes_are_open(looma: TestServer) {
        assert_eq!(looma.anonymous().get("/healthz").await.expect(200)["status"], "ok");
        assert_eq!(looma.anonymous().get("/readyz").await.expect(200)["status"], "ready");
        let text = looma.anonymous().get("/metrics-text").await;
        assert!(String::from_utf8_lossy(&text.bytes).contains("looma_feed_revision 1"), "{text:?}");
    }

    /// What the server does by itself is to be seen.
    async fn tasks_are_shown(looma: TestServer) {
        looma.run_task("feed.prune").await;
        let tasks = looma.admin().await.get("/tasks").await.expect(200);
        let prune = tasks["items"].as_array().unwrap().iter().find(|task| task["name"] == "feed.prune").unwrap().clone();
        assert_eq!((&prune["runs"], &prune["last_error"]), (&1.into(), &serde_json::Value::Null));
    }

    /// A path that is not there, and a method that a path does not take, are problems like any other.
    async fn unknown_paths_are_problems(looma: TestServer) {
        let answer = looma.admin().await.get("/nowhere").await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        answer.expect(404);
        looma.admin().await.delete("/tasks").await.expect(405);
    }
}
