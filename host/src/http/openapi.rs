//! The OpenAPI document: what the handlers do not say themselves, and the page that shows it.

use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

/// The parts of the document that belong to no handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Looma",
        description = "A control plane in one binary. Each operation says in `x-looma-access` who may use it: `public`, \
            `any` (whoever has a good token), `signed in`, `admin`, or the scope that a token or a role must have.\n\nA `POST` may carry \
            `Idempotency-Key`, one text of 1 to 200 printable characters: within 24 hours the same request under the same key \
            is answered as the first was, with `Idempotency-Replayed: true`, and not done twice. Another request under that key \
            is 422; while the first one runs it is 409 with `Retry-After`. Answers 401, 403, 429 and 5xx are not kept, nor are \
            those that show secrets: `POST /tokens` and `/auth/*` take no key. A body past the limit of ordinary bodies, such as \
            the upload of a large plugin, is taken without one.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Secured)
)]
pub struct Document;

struct Secured;

impl Modify for Secured {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        document.security = Some(vec![SecurityRequirement::new::<_, _, &str>("bearer", [])]);
    }
}
