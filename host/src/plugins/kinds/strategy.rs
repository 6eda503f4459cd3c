//! Discovery strategies: pages of services that are out there.

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{IoCall, Version};

use super::{Guest, mismatch, unacceptable, within};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/discovery"],
    world: "looma:discovery/discovery-strategy",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
        "looma:host/clock@0.1.0": crate::plugins::bindings::looma::host::clock,
        "looma:host/http@0.1.0": crate::plugins::bindings::looma::host::http,
        "looma:host/kv@0.1.0": crate::plugins::bindings::looma::host::kv,
        "looma:host/net@0.1.0": crate::plugins::bindings::looma::host::net,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::discovery::strategy::{Health, Page, Target};

/// Targets of one page.
const TARGETS: usize = 10_000;
const METADATA: usize = 64;

pub(in crate::plugins) async fn discover(
    version: &Version,
    config: &str,
    cursor: Option<String>,
) -> Result<Page, CallError> {
    let config = config.to_owned();
    let asked = cursor.clone();
    let call: IoCall<_> = Box::new(move |live| {
        Box::pin(async move {
            let Guest::Strategy(guest) = &live.guest else {
                return mismatch();
            };
            guest.looma_discovery_strategy().call_discover(&mut live.store, &config, cursor.as_deref()).await
        })
    });
    let page = version.io(Function::Discover, call).await??;
    check_page(&page, asked.as_deref())?;
    Ok(page)
}

fn check_page(page: &Page, asked: Option<&str>) -> Result<(), CallError> {
    let Page { targets, next } = page;
    if targets.len() > TARGETS {
        return unacceptable(format!("a page of {} targets, at most {TARGETS} are taken", targets.len()));
    }
    within("the cursor", next.as_deref().unwrap_or_default(), 4_000)?;
    if next.is_some() && next.as_deref() == asked {
        return unacceptable("the next cursor is the one that was asked with, so there would be no end");
    }
    targets.iter().try_for_each(check_target)
}

fn check_target(target: &Target) -> Result<(), CallError> {
    let Target { service_id, service_name, service_type, url, node_id, health: _, metadata } = target;
    let fields =
        [("service-id", service_id), ("service-name", service_name), ("service-type", service_type), ("url", url)];
    for (what, text) in fields {
        if text.is_empty() {
            return unacceptable(format!("a target with an empty {what}"));
        }
        if text.chars().any(char::is_control) {
            return unacceptable(format!("a target with control characters in its {what}"));
        }
        within(what, text, if what == "url" { 2_000 } else { 255 })?;
    }
    within("node-id", node_id.as_deref().unwrap_or_default(), 255)?;
    if metadata.len() > METADATA {
        return unacceptable(format!(
            "a target with {} fields of metadata, at most {METADATA} are taken",
            metadata.len()
        ));
    }
    for (key, value) in metadata {
        within("a key of metadata", key, 255)?;
        within("a value of metadata", value, 4_000)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_cannot_be_true_are_refused() {
        let target = Target {
            service_id: "a".to_owned(),
            service_name: "a".to_owned(),
            service_type: "t".to_owned(),
            url: "http://a".to_owned(),
            node_id: None,
            health: Health::Unknown,
            metadata: Vec::new(),
        };
        let page = |target: Target, next: Option<&str>| Page { targets: vec![target], next: next.map(str::to_owned) };
        assert!(check_page(&page(target.clone(), Some("2")), Some("1")).is_ok());
        assert!(check_page(&page(target.clone(), Some("1")), Some("1")).is_err());
        assert!(check_page(&page(Target { service_id: String::new(), ..target.clone() }, None), None).is_err());
        assert!(check_page(&page(Target { url: "u".repeat(2_001), ..target }, None), None).is_err());
    }
}
