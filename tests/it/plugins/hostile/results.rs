//! Guests whose answers are none: out of their memory, of no sort that there is, too long, or against the contract.

use super::*;

/// An answer that cannot be read is a crash, or too much, and the host allocates nothing for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_cannot_be_read_fail_the_call() {
    let host = Host::start().await;
    const MUCH: Told = Told::Limit("it handed more bytes to the host than one call may");
    host.hold(&[
        ("result-past-memory", Told::Crash("pointer out of bounds of memory")),
        ("result-crooked", Told::Crash("return pointer not aligned")),
        ("wrong-result", Told::Crash("invalid expected discriminant")),
        ("wrong-error", Told::Crash("unexpected discriminant")),
        ("text-not-utf8", Told::Crash("utf-8")),
        ("text-past-memory", Told::Crash("string pointer/length out of bounds of memory")),
        ("levels-past-memory", Told::Crash("list pointer/length out of bounds of memory")),
        ("scores-crooked", Told::Crash("list pointer is not aligned")),
        ("levels-without-end", Told::Crash("list pointer/length out of bounds of memory")),
        ("notes-without-end", Told::Contract("690000 notes for 1 series")),
        ("targets-past-memory", Told::Crash("list pointer/length out of bounds of memory")),
        ("targets-crooked", Told::Crash("list pointer is not aligned")),
        ("targets-without-end", Told::Crash("list pointer/length out of bounds of memory")),
        ("targets-too-many", MUCH),
        ("targets-more-than-a-page", Told::Contract("a page of 20000 targets, at most 10000 are taken")),
        ("health-of-its-own", Told::Crash("unexpected discriminant")),
    ])
    .await;
    host.stop().await;
}

/// Columns that do not fit together, levels and scores that are none, notes and states that lead nowhere: the whole answer is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_against_the_contract_are_refused_whole() {
    let host = Host::start().await;
    const NOWHERE: Told = Told::Contract("the offsets of the state do not lead through its blob");
    host.hold(&[
        ("levels-missing", Told::Contract("0 levels and 0 scores for 1 series")),
        ("levels-too-many", Told::Contract("2 levels and 2 scores for 1 series")),
        ("scores-missing", Told::Contract("1 levels and 0 scores for 1 series")),
        ("level-of-its-own", Told::Contract("level 4 is none of 0, 1, 2, 3, 255")),
        ("score-not-a-number", Told::Contract("series 0 has a verdict and no score")),
        ("score-without-end", Told::Fine),
        ("score-odd", Told::Fine),
        ("score-tiny", Told::Fine),
        ("note-for-nobody", Told::Contract("a note for series 7 of 1")),
        ("notes-too-many", Told::Contract("2 notes for 1 series")),
        ("note-too-long", Told::Contract("a note has 2000 bytes, at most 1000 are taken")),
        ("note-with-nul", Told::Contract("a note holds the character NUL")),
        ("state-backwards", NOWHERE),
        ("state-past-its-end", NOWHERE),
        ("state-late", NOWHERE),
        ("state-for-too-few", NOWHERE),
    ])
    .await;
    host.stop().await;
}

/// Targets that no registry could take are refused, and the whole page with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_against_the_contract_are_refused_whole() {
    let host = Host::start().await;
    host.hold(&[
        ("target-without-name", Told::Contract("a target with an empty service-name")),
        ("target-with-line-break", Told::Contract("control characters in its service-id")),
        ("target-too-long", Told::Contract("service-name has 1000000 bytes, at most 255 are taken")),
        ("metadata-too-long", Told::Contract("a value of metadata has 10000 bytes, at most 4000 are taken")),
        ("metadata-too-much", Told::Contract("100 fields of metadata, at most 64 are taken")),
    ])
    .await;
    host.bring_guest("same-cursor", CallPath::Io).await;
    let again = host.tell("same-cursor", &["again"]).await;
    assert_eq!(Told::Contract("so there would be no end").differs(&again), None);
    host.assert_well("same-cursor", CallPath::Io).await;
    host.stop().await;
}

/// More words than one call may hand over are refused before they are copied, whatever memory the plugin is granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_are_refused() {
    let host = Host::start().await;
    for (guest, path, told) in [
        ("text-of-100-mib", CallPath::Pure, Told::Limit("it handed more bytes to the host than one call may")),
        ("text-of-100-mib", CallPath::Io, Told::Limit("it handed more bytes to the host than one call may")),
        ("state-of-20-mib", CallPath::Pure, Told::Contract("a state of 20971520 bytes, at most 16777216 are kept")),
    ] {
        let name = format!("{guest}-{}", path.as_str());
        host.grant(&name, json!({"memory_bytes": 200 << 20, "deadline_ms": 20_000})).await;
        host.bring(&name, Guest::read(guest).component(path, &name)).await;
        assert_eq!(told.differs(&host.misdeed(&name, path).await), None, "{name}");
        host.assert_well(&name, path).await;
    }
    host.stop().await;
}

/// A plugin's own words are cut to what logs and tables take, and have no control characters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_are_cut_and_plain() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        for (guest, longest) in [("text-of-3-mib", 2_003), ("wild-words", 60)] {
            let name = format!("{guest}-{}", path.as_str());
            host.bring(&name, Guest::read(guest).component(path, &name)).await;
            let detail = message(&host.misdeed(&name, path).await.expect(422)).to_owned();
            assert!(detail.len() <= longest, "{}", detail.len());
            assert!(!detail.contains(|c: char| c.is_control() && c != '\n'), "{detail:?}");
            host.assert_well(&name, path).await;
        }
    }
    host.stop().await;
}

/// A source whose plugin finds one service twice, or says after each page that there is one more, ends with the reason, and
/// registers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_cannot_end_well_register_nothing() {
    let host = Host::start().await;
    let admin = host.looma.admin().await;
    for (guest, words) in [("twins", "twice"), ("pages-without-end", "more than 1000 pages")] {
        host.bring_guest(guest, CallPath::Io).await;
        let outcome = run_source(&host, guest).await;
        assert!(outcome["error"].as_str().unwrap_or_default().contains(words), "{outcome}");
        let services = admin.get("/services").await.expect(200);
        assert_eq!(services["items"], json!([]));
    }
    host.stop().await;
}

/// A plugin that found ten services and then finds none does not empty the registry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_all_at_once_takes_nothing_away() {
    let host = Host::start().await;
    host.grant("found-and-lost", json!({"kv_bytes": 1000, "deadline_ms": 20_000})).await;
    host.bring_guest("found-and-lost", CallPath::Io).await;
    let source = make_source(&host, "found-and-lost").await;
    let run = async || {
        host.looma.admin().await.post(&format!("/discovery-sources/{source}/run"), &json!({})).await.expect(200)
    };
    assert_eq!(run().await["registered"], 10);
    let second = run().await;
    assert_eq!((&second["found"], &second["removed"]), (&json!(0), &json!(0)), "{second}");
    assert!(second["guarded"].as_str().unwrap().contains("10 of 10"), "{second}");
    let services = host.looma.admin().await.get("/services").await.expect(200);
    assert_eq!(services["items"].as_array().unwrap().len(), 10);
    host.stop().await;
}

/// A run that breaks after its first page takes nothing away of what was on the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_pages_takes_nothing_away() {
    let host = Host::start().await;
    host.grant("second-page-breaks", json!({"kv_bytes": 1000, "deadline_ms": 20_000})).await;
    host.bring_guest("second-page-breaks", CallPath::Io).await;
    let source = make_source(&host, "second-page-breaks").await;
    let run = async || {
        host.looma.admin().await.post(&format!("/discovery-sources/{source}/run"), &json!({})).await.expect(200)
    };
    assert_eq!(run().await["registered"], 4);
    let second = run().await;
    assert_eq!((&second["removed"], &second["registered"], &second["guarded"]), (&json!(0), &json!(0), &Value::Null));
    assert!(second["error"].as_str().unwrap_or_default().contains("seen"), "{second}");
    let services = host.looma.admin().await.get("/services").await.expect(200);
    assert_eq!(services["items"].as_array().unwrap().len(), 4);
    host.stop().await;
}

async fn make_source(host: &Host, strategy: &str) -> String {
    let source = json!({"name": strategy, "strategy": strategy, "config": {"misdeed": true}, "interval_seconds": 3600, "max_removed_share": 0.5});
    let made = host.looma.admin().await.post("/discovery-sources", &source).await.expect(201);
    made["source_id"].as_str().unwrap().to_owned()
}

async fn run_source(host: &Host, strategy: &str) -> Value {
    let source = make_source(host, strategy).await;
    host.looma.admin().await.post(&format!("/discovery-sources/{source}/run"), &json!({})).await.expect(200)
}
