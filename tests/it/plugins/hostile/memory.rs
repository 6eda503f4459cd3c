//! Guests that want memory, tables, instances and handles without end.

use super::*;

/// What a guest is refused while it runs is told, when it then crashes; a guest that copes is none the worse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_ends_at_the_grant() {
    let host = Host::start().await;
    host.hold(&[
        ("grow-memory", Told::Limit("it wanted more memory than it is granted")),
        ("grow-and-cope", Told::Fine),
        ("grow-table", Told::Limit("it wanted larger tables than are allowed")),
        ("leak-handles", Told::Limit("it held more handles than it may")),
    ])
    .await;
    host.stop().await;
}

/// What can be seen to be too much before it runs is refused, in words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_from_the_start_is_refused() {
    let host = Host::start().await;
    // Where there is no address space for a pool, the limits of the instance say so instead.
    host.refuse(&[
        (
            "memory-of-4-gib",
            "a minimum byte size of 4294967296 which exceeds the limit | it wanted more memory than it is granted",
        ),
        (
            "large-table",
            "a minimum element size of 10000000 which exceeds the limit | it wanted larger tables than are allowed",
        ),
        (
            "nested",
            "128 core module instances, which exceeds the configured maximum of 32 | does not have export `describe`",
        ),
        ("many-instances", "instances count exceeds limit of 1000"),
        ("memory-of-64-bits", "memory64"),
        ("many-memories", "multiple memories"),
        ("shared-memory", "threads"),
        ("small-pages", "page size"),
        ("garbage-collection", "gc"),
        ("exceptions", "exceptions"),
    ])
    .await;
    host.stop().await;
}

/// A guest whose memory grows with each call gets a fresh instance before it is at its limit, and no call fails for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn creeping_memory_is_taken_back() {
    let host = Host::start().await;
    for path in CallPath::ALL {
        let name = format!("creep-{}", path.as_str());
        host.bring(&name, Guest::read("creep").component(path, &name)).await;
        let (mut most, mut fresh) = (0, 0);
        for _ in 0..60 {
            let detail = message(&host.misdeed(&name, path).await.expect(422)).to_owned();
            let pages = u32::from_str_radix(&detail, 16).unwrap_or_else(|_| panic!("{detail}"));
            most = most.max(pages);
            fresh += u32::from(pages == 18);
        }
        assert!(most * 64 <= 16 << 10, "{most} pages are more than 16 MiB");
        match path {
            CallPath::Pure => assert!((3..60).contains(&fresh), "{fresh} fresh instances"),
            CallPath::Io => assert_eq!(fresh, 60, "each call has an instance of its own"),
        }
        host.assert_well(&name, path).await;
    }
    host.stop().await;
}
