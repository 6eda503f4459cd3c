//! HTTP of what belongs to a talent.

use utoipa_axum::router::OpenApiRouter;

use super::{certifications, educations, experiences, projects, relationships, skills};
use crate::app::App;

/// The routes of all parts.
pub(in crate::talent) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(skills::routes())
        .merge(projects::routes())
        .merge(experiences::routes())
        .merge(educations::routes())
        .merge(certifications::routes())
        .merge(relationships::routes())
}

/// Declares the handlers of a part and `routes`, which serves them: `pointed` for one that is named by what it points to,
/// `owned` for one with a key of its own.
macro_rules! part_routes {
    (@common $part:ident, $query:ident, $tag:literal, $list:literal, $one:literal) => {
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
                body::Body,
                error::{ApiResult, Problem},
                etag::{self, Conditions},
                page::{Page, Params},
            },
            talent::parts,
        };

        /// Lists them, a page at a time.
        #[utoipa::path(get, path = $list, operation_id = concat!("list_talent_", $tag), tag = "talents", params(("id" = String, Path), $query), responses((status = 200, body = Page<$part>), (status = 404, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:read"))))]
        async fn list(_: TalentsRead, State(app): State<App>, Path(id): Path<String>, Params(query): Params<$query>) -> ApiResult<Json<Page<$part>>> {
            Ok(Json(parts::list(&app, id, query).await?))
        }

        /// Shows one.
        #[utoipa::path(get, path = $one, operation_id = concat!("read_talent_", $tag), tag = "talents", params(("id" = String, Path), ("part" = String, Path)), responses((status = 200, body = $part), (status = 304), (status = 404, body = Problem)), extensions(("x-looma-access" = json!("talents:read"))))]
        async fn read(_: TalentsRead, State(app): State<App>, conditions: Conditions, Path(at): Path<[String; 2]>) -> ApiResult<Response> {
            conditions.answer(&parts::read::<$part>(&app, at).await?)
        }

        /// Removes one.
        #[utoipa::path(delete, path = $one, operation_id = concat!("remove_talent_", $tag), tag = "talents", params(("id" = String, Path), ("part" = String, Path)), responses((status = 204), (status = 404, body = Problem), (status = 412, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn remove(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(at): Path<[String; 2]>) -> ApiResult<StatusCode> {
            parts::remove::<$part>(&app, who.actor(), &conditions, at).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    };
    (pointed $part:ident, $fields:ident, $query:ident, $tag:literal, $list:literal, $one:literal) => {
        $crate::talent::parts::routes::part_routes!(@common $part, $query, $tag, $list, $one);

        /// The routes of this part.
        pub(in crate::talent::parts) fn routes() -> OpenApiRouter<App> {
            OpenApiRouter::new().routes(routes!(list)).routes(routes!(read, put, remove))
        }

        /// Makes or replaces one.
        #[utoipa::path(put, path = $one, operation_id = concat!("put_talent_", $tag), tag = "talents", params(("id" = String, Path), ("part" = String, Path)), request_body = $fields, responses((status = 200, body = $part), (status = 201, body = $part), (status = 404, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn put(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(at): Path<[String; 2]>, Body(fields): Body<$fields>) -> ApiResult<Response> {
            use axum::response::IntoResponse as _;

            let (part, is_new) = parts::put::<$part>(&app, who.actor(), &conditions, at, fields).await?;
            if !is_new {
                return Ok(Json(part).into_response());
            }
            etag::created(&format!("/api/v1/talents/{}/{}/{}", part.talent_id, $tag, parts::key(&part)), part)
        }
    };
    (owned $part:ident, $fields:ident, $query:ident, $tag:literal, $list:literal, $one:literal) => {
        $crate::talent::parts::routes::part_routes!(@common $part, $query, $tag, $list, $one);

        /// The routes of this part.
        pub(in crate::talent::parts) fn routes() -> OpenApiRouter<App> {
            OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, replace, remove))
        }

        /// Makes one.
        #[utoipa::path(post, path = $list, operation_id = concat!("create_talent_", $tag), tag = "talents", params(("id" = String, Path)), request_body = $fields, responses((status = 201, body = $part), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn create(who: TalentsWrite, State(app): State<App>, Path(id): Path<String>, Body(fields): Body<$fields>) -> ApiResult<Response> {
            let part = parts::create::<$part>(&app, who.actor(), id, fields).await?;
            etag::created(&format!("/api/v1/talents/{}/{}/{}", part.talent_id, $tag, parts::key(&part)), part)
        }

        /// Replaces one.
        #[utoipa::path(put, path = $one, operation_id = concat!("replace_talent_", $tag), tag = "talents", params(("id" = String, Path), ("part" = String, Path)), request_body = $fields, responses((status = 200, body = $part), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem)), extensions(("x-looma-access" = json!("talents:write"))))]
        async fn replace(who: TalentsWrite, State(app): State<App>, conditions: Conditions, Path(at): Path<[String; 2]>, Body(fields): Body<$fields>) -> ApiResult<Json<$part>> {
            Ok(Json(parts::replace(&app, who.actor(), &conditions, at, fields).await?))
        }
    };
}

pub(in crate::talent::parts) use part_routes;
