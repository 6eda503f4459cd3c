//! HTTP of admission reports.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Admission, Effort};
use crate::{
    app::App,
    http::{
        auth::PluginsRead,
        error::{ApiError, ApiResult, OrNotFound as _, Problem},
        page::Params,
    },
    plugins::{
        PluginName,
        queries::{self, KnownVersion},
    },
    wasm::cache::Digest,
};

pub(in crate::plugins) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(admission))
}

/// Which file is reported on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Query {
    /// A version of the plugin by the digest of its file. When absent: the file in the folder that was not taken, if there is
    /// one, and else the version that serves.
    digest: Option<String>,
}

/// A report, and whether its version serves.
#[derive(Debug, Serialize, ToSchema)]
struct AdmissionShown {
    /// Whether this is the version that serves.
    serving: bool,
    /// The report.
    #[serde(flatten)]
    admission: Admission,
}

/// Says why a plugin was taken or not: imports against grants, sizes, limits, compile time, and what to do.
#[utoipa::path(get, path = "/plugins/{name}/admission", tag = "plugins", params(("name" = String, Path), Query), responses((status = 200, body = AdmissionShown), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("plugins:read"))))]
async fn admission(
    _: PluginsRead,
    State(app): State<App>,
    Path(name): Path<String>,
    Params(Query { digest }): Params<Query>,
) -> ApiResult<Json<AdmissionShown>> {
    let name: PluginName = name.parse().map_err(|_| ApiError::NotFound("plugin".to_owned()))?;
    let slot = app.plugins.slot(&name).filter(|slot| slot.info().is_some()).or_not_found("plugin")?;
    let file = match digest {
        Some(digest) => stored(&app, &name, &digest).await?,
        None => match refused(&app, &name).await {
            Some(file) => Some(file),
            None => {
                stored(&app, &name, &app.plugins.get(&name).and_then(|info| info.digest).unwrap_or_default()).await?
            }
        },
    };
    let (wasm, signature) = file.or_not_found("file of the plugin")?;
    let digest = Digest::of(&wasm);
    let why = slot.refused().filter(|refused| refused.file.digest == digest).map(|refused| refused.error);
    let effort = Effort::Known(why.as_deref());
    let admission = app.plugins.admission((&wasm, signature.as_deref()), Some(&name), effort).await;
    let serving = slot.current().is_some_and(|current| current.digest == digest);
    Ok(Json(AdmissionShown { serving, admission }))
}

/// A component, and the signature that came beside it.
type SignedFile = (Arc<[u8]>, Option<String>);

async fn stored(app: &App, name: &PluginName, digest: &str) -> ApiResult<Option<SignedFile>> {
    let mut on = app.db.read().await?;
    let Some(KnownVersion { signature, .. }) = queries::version(&mut on, name, digest).await? else { return Ok(None) };
    Ok(queries::file(&mut on, digest).await?.map(|wasm| (wasm.into(), signature)))
}

/// The file in the folder, when it is the one that was not taken.
async fn refused(app: &App, name: &PluginName) -> Option<SignedFile> {
    let file = app.settings.plugins_dir().join(format!("{name}.wasm"));
    let size = tokio::fs::metadata(&file).await.ok()?.len();
    if size > app.settings.plugins.max_component_bytes {
        return None;
    }
    let wasm: Arc<[u8]> = tokio::fs::read(&file).await.ok()?.into();
    let refused = app.plugins.slot(name)?.refused()?;
    (refused.file.digest == Digest::of(&wasm)).then_some((wasm, refused.file.signature))
}
