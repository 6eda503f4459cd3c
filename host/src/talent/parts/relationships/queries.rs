//! SQL of relationships.

use super::types::RelationshipFields;

crate::talent::parts::queries::part_statements!(
    "talent_relationships", "relationship_id", unique "relationship_id",
    RelationshipFields {
        related_talent_id = "$5",
        relationship_type = "$6",
        strength = "$7",
        note = "$8",
    }
);
