//! HTTP of the main things: seven handlers, the same for each.

/// Declares the handlers of a resource and `routes`, which serves them.
macro_rules! resource_routes {
    ($thing:ident, $fields:ident, $query:ident, $tag:literal, $list:literal, $one:literal, $restore:literal) => {
        use axum::{
            Json,
            extract::{Path, State},
            http::StatusCode,
            response::Response,
        };
        use utoipa_axum::{router::OpenApiRouter, routes};

        use $crate::{
            app::App,
            http::{
                auth::{TalentsRead, TalentsWrite},
                body::{Body, Patch},
                error::{ApiResult, Problem},
                etag::{self, Conditions},
                page::{Page, Params},
            },
            talent::base::{self, queries::Listed as _},
        };

        /// The routes of this resource.
        pub(in crate::talent) fn routes() -> OpenApiRouter<App> {
            OpenApiRouter::new()
                .routes(routes!(list, create))
                .routes(routes!(read, replace, patch, remove))
                .routes(routes!(restore))
        }

        /// Lists them, a page at a time.
        #[utoipa::path(get, path = $list, operation_id = concat!("list_", $tag), tag = $tag, params($query), responses((status = 200, body = Page<$thing>), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:read"))))]
        async fn list(_: TalentsRead, State(app): State<App>, Params(query): Params<$query>) -> ApiResult<Json<Page<$thing>>> {
            Ok(Json(base::list(&app, query).await?))
        }

        /// Makes one.
        #[utoipa::path(post, path = $list, operation_id = concat!("create_", $tag), tag = $tag, request_body = $fields, responses((status = 201, body = $thing), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn create(who: TalentsWrite, State(app): State<App>, Body(fields): Body<$fields>) -> ApiResult<Response> {
            let made: $thing = base::create(&app, who.actor(), fields).await?;
            etag::created(&format!("/api/v1{}/{}", $list, made.key()), made)
        }

        /// Shows one.
        #[utoipa::path(get, path = $one, operation_id = concat!("read_", $tag), tag = $tag, params(("id" = String, Path)), responses((status = 200, body = $thing), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("talents:read"))))]
        async fn read(_: TalentsRead, State(app): State<App>, conditions: Conditions, Path(id): Path<String>) -> ApiResult<Response> {
            let found: $thing = base::read(&mut app.db.read().await?, &id).await?;
            conditions.answer(&found)
        }

        /// Replaces what a caller writes of one.
        #[utoipa::path(put, path = $one, operation_id = concat!("replace_", $tag), tag = $tag, params(("id" = String, Path)), request_body = $fields, responses((status = 200, body = $thing), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn replace(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(id): Path<String>, Body(fields): Body<$fields>) -> ApiResult<Json<$thing>> {
            Ok(Json(base::change(&app, who.actor(), &conditions, &id, |_| Ok(fields)).await?))
        }

        /// Changes one by a JSON merge patch.
        #[utoipa::path(patch, path = $one, operation_id = concat!("patch_", $tag), tag = $tag, params(("id" = String, Path)), request_body = Object, responses((status = 200, body = $thing), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn patch(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(id): Path<String>, patch: Patch) -> ApiResult<Json<$thing>> {
            Ok(Json(base::patch(&app, who.actor(), &conditions, &id, patch).await?))
        }

        /// Deletes one so that it can be restored.
        #[utoipa::path(delete, path = $one, operation_id = concat!("delete_", $tag), tag = $tag, params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn remove(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(id): Path<String>) -> ApiResult<StatusCode> {
            base::remove::<$thing>(&app, who.actor(), &conditions, &id).await?;
            Ok(StatusCode::NO_CONTENT)
        }

        /// Takes a deletion back.
        #[utoipa::path(post, path = $restore, operation_id = concat!("restore_", $tag), tag = $tag, params(("id" = String, Path)), responses((status = 200, body = $thing), (status = 404, body = Problem), (status = 409, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn restore(who: TalentsWrite, State(app): State<App>, Path(id): Path<String>) -> ApiResult<Json<$thing>> {
            Ok(Json(base::restore(&app, who.actor(), &id).await?))
        }
    };
}

pub(in crate::talent) use resource_routes;
