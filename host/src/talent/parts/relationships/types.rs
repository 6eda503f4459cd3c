//! What a relationship of a talent is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    id,
    talent::{base::list::list_query, parts::part, talents::TalentId},
};

id! {
    /// A relationship.
    RelationshipId,
}

fn half() -> f64 {
    0.5
}

/// What a caller writes of a relationship of a talent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct RelationshipFields {
    /// To whom.
    pub related_talent_id: TalentId,
    /// What the talent is to them, in words of one's own: `colleague`, `introduced_by`.
    pub relationship_type: String,
    /// How strong it is, 0 to 1.
    #[serde(default = "half")]
    pub strength: f64,
    /// What else is to be said.
    pub note: Option<String>,
}

part! {
    /// How a talent stands to another.
    Relationship { relationship_id: RelationshipId, RelationshipFields }
    from "SELECT talent_id, relationship_id, related_talent_id, relationship_type, strength, note, created_at, updated_at \
        FROM talent_relationships"
}

list_query! {
    /// Which of them to list.
    RelationshipQuery {
        /// To whom.
        related_talent_id: String = "related_talent_id = {}",
        /// Of which type.
        relationship_type: String = "relationship_type = {}",
    }
}
