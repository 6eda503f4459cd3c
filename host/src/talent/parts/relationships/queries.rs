//! SQL of relationships.

use super::types::RelationshipFields;
use crate::{
    db::{Result, Tx},
    on_db, statements,
    talent::parts::{PartKey, Times},
};

statements! { STATEMENTS:
    SAVE = "INSERT INTO talent_relationships (talent_id, relationship_id, related_talent_id, relationship_type, strength, note, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (relationship_id) DO UPDATE SET related_talent_id = excluded.related_talent_id, relationship_type = excluded.relationship_type, strength = excluded.strength, note = excluded.note, updated_at = excluded.updated_at";
}

pub(super) async fn save(tx: &mut Tx, at: &PartKey, fields: &RelationshipFields, times: &Times) -> Result<()> {
    let RelationshipFields { related_talent_id, relationship_type, strength, note } = fields;
    on_db!(tx, |c| sqlx::query(SAVE)
        .bind(&at.talent_id)
        .bind(&at.key)
        .bind(related_talent_id)
        .bind(relationship_type)
        .bind(strength)
        .bind(note)
        .bind(times.created_at)
        .bind(times.updated_at)
        .execute(c)
        .await
        .map(drop))
}
