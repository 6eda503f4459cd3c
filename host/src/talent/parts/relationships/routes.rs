//! HTTP of relationships.

use super::types::{Relationship, RelationshipFields, RelationshipQuery};

crate::talent::parts::routes::part_routes!(
    owned
    Relationship,
    RelationshipFields,
    RelationshipQuery,
    "relationships",
    "/talents/{id}/relationships",
    "/talents/{id}/relationships/{part}"
);
