//! Talent embedders: texts in, vectors of length 1 out.

use crate::plugins::stats::Function;
use crate::plugins::types::CallError;
use crate::plugins::version::{Live, Version};

use super::{Guest, mismatch, unacceptable, within};

wasmtime::component::bindgen!({
    path: ["../wit/plugin", "../wit/host", "../wit/talent"],
    world: "looma:talent/talent-embedder",
    imports: { default: trappable },
    with: {
        "looma:plugin/types@0.1.0": crate::plugins::bindings::looma::plugin::types,
        "looma:host/log@0.1.0": crate::plugins::bindings::looma::host::log,
    },
    additional_derives: [PartialEq],
});

pub use exports::looma::talent::embedder::{Model, Subject};

const DIMENSIONS: u32 = 4_096;
const TEXTS: usize = 1_000;
/// How far the length of a vector may be from 1.
const TOLERANCE: f32 = 0.01;

pub(in crate::plugins) async fn about(version: &Version) -> Result<Model, CallError> {
    let call = |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Embedder(guest) => guest.looma_talent_embedder().call_about(store),
        _ => mismatch(),
    };
    let model = version.pure(Function::About, call).await?;
    if model.dimensions == 0 || model.dimensions > DIMENSIONS {
        return unacceptable(format!("vectors of {} numbers, 1 to {DIMENSIONS} are taken", model.dimensions));
    }
    within("the id of the model", &model.id, 255)?;
    Ok(model)
}

pub(in crate::plugins) async fn embed(
    version: &Version,
    config: &str,
    subject: Subject,
    texts: Vec<String>,
    dimensions: u32,
) -> Result<Vec<f32>, CallError> {
    if texts.len() > TEXTS {
        return Err(CallError::Limit(format!("{} texts in one call, at most {TEXTS} are taken", texts.len())));
    }
    let (config, asked) = (config.to_owned(), texts.len());
    let call = move |Live { store, guest, .. }: &mut Live| match guest {
        Guest::Embedder(guest) => guest.looma_talent_embedder().call_embed(store, &config, subject, &texts),
        _ => mismatch(),
    };
    let numbers = version.pure(Function::Embed, call).await??;
    check_vectors(&numbers, asked, dimensions as usize)?;
    Ok(numbers)
}

fn check_vectors(numbers: &[f32], texts: usize, dimensions: usize) -> Result<(), CallError> {
    if numbers.len() != texts * dimensions {
        return unacceptable(format!("{} numbers for {texts} texts of {dimensions} dimensions", numbers.len()));
    }
    for vector in numbers.chunks_exact(dimensions.max(1)) {
        let length = vector.iter().map(|n| n * n).sum::<f32>().sqrt();
        if !length.is_finite() || (length - 1.0).abs() > TOLERANCE {
            return unacceptable(format!("a vector of length {length}, and 1 is promised"));
        }
    }
    Ok(())
}
