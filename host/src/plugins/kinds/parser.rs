//! Resume parsers: a document in, a draft of a profile out.

use std::sync::Arc;

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{Live, Version};

use super::{Guest, mismatch, unacceptable};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/talent"],
    world: "looma:talent/resume-parser",
    imports: { default: trappable },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::talent::parser::{Certification, Draft, Education, Experience};

const DOCUMENT_BYTES: usize = 16 << 20;
/// Experiences, skills and the like of one draft.
const ENTRIES: usize = 500;

pub(in crate::plugins) async fn media_types(version: &Version) -> Result<Vec<String>, CallError> {
    let call = |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Parser(guest) => guest.looma_talent_parser().call_media_types(store),
        _ => mismatch(),
    };
    let types = version.pure(Function::MediaTypes, call).await?;
    if types.len() > 50 || types.iter().any(|media_type| media_type.len() > 255) {
        return unacceptable("more than 50 media types, or one of more than 255 bytes");
    }
    Ok(types)
}

pub(in crate::plugins) async fn parse(
    version: &Version,
    config: &str,
    media_type: &str,
    document: Arc<[u8]>,
    language: Option<String>,
) -> Result<Draft, CallError> {
    if document.len() > DOCUMENT_BYTES {
        return Err(CallError::Limit(format!(
            "a document of {} bytes, at most {DOCUMENT_BYTES} are taken",
            document.len()
        )));
    }
    let (config, media_type) = (config.to_owned(), media_type.to_owned());
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Parser(guest) => {
            guest.looma_talent_parser().call_parse(store, &config, &media_type, &document, language.as_deref())
        }
        _ => mismatch(),
    };
    let draft = version.pure(Function::Parse, call).await??;
    check_draft(&draft)?;
    Ok(draft)
}

fn check_draft(draft: &Draft) -> Result<(), CallError> {
    let counts = [
        draft.experiences.len(),
        draft.educations.len(),
        draft.skills.len(),
        draft.certifications.len(),
        draft.emails.len(),
        draft.phones.len(),
        draft.warnings.len(),
        draft.evidence.len(),
    ];
    if counts.iter().any(|&count| count > ENTRIES) {
        return unacceptable(format!("a draft with more than {ENTRIES} entries of one sort"));
    }
    Ok(())
}
