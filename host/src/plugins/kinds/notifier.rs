//! Notifiers: a notification in, a receipt out.

use std::sync::Arc;

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{IoCall, Version};

use super::{Guest, mismatch, within};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/notify"],
    world: "looma:notify/notifier-plugin",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
        "looma:host/clock@0.1.0": crate::plugins::bindings::looma::host::clock,
        "looma:host/http@0.1.0": crate::plugins::bindings::looma::host::http,
        "looma:host/mail@0.1.0": crate::plugins::bindings::looma::host::mail,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::notify::notifier::{Alert, Notification, Receipt, Severity, Status};

const PREVIEW_BYTES: usize = 1 << 20;

pub(in crate::plugins) async fn deliver(
    version: &Version,
    config: &str,
    notification: Arc<Notification>,
) -> Result<Receipt, CallError> {
    let config = config.to_owned();
    let call: IoCall<_> = Box::new(move |live| {
        Box::pin(async move {
            let Guest::Notifier(guest) = &live.guest else {
                return mismatch();
            };
            guest.looma_notify_notifier().call_deliver(&mut live.store, &config, &notification).await
        })
    });
    let receipt = version.io(Function::Deliver, call).await??;
    within("the detail of the receipt", &receipt.detail, 8_000)?;
    within("the remote id of the receipt", receipt.remote_id.as_deref().unwrap_or_default(), 1_000)?;
    Ok(receipt)
}

pub(in crate::plugins) async fn preview(
    version: &Version,
    config: &str,
    notification: Arc<Notification>,
) -> Result<String, CallError> {
    let config = config.to_owned();
    let call: IoCall<_> = Box::new(move |live| {
        Box::pin(async move {
            let Guest::Notifier(guest) = &live.guest else {
                return mismatch();
            };
            guest.looma_notify_notifier().call_preview(&mut live.store, &config, &notification).await
        })
    });
    let preview = version.io(Function::Preview, call).await??;
    within("the preview", &preview, PREVIEW_BYTES)?;
    Ok(preview)
}
