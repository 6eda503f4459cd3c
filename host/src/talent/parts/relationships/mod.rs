//! Relationships of a talent to others: typed, directed, weighed. The list of either side shows them; who is deleted is not shown.

mod queries;
mod routes;
mod types;

use super::{Part, PartKey, Times};
use crate::{
    db::{Result, Tx},
    http::error::Faults,
    talent::{base, talents::Talent},
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
use types::{Relationship, RelationshipFields};

impl Part for Relationship {
    type Fields = RelationshipFields;

    const WHAT: &'static str = "relationship";
    const TABLE: &'static str = "talent_relationships";
    const OF_TALENT: &'static str = "(talent_id = {} OR related_talent_id = {})";
    const SHOWN: &'static str = "NOT EXISTS (SELECT 1 FROM talents WHERE is_deleted = TRUE \
        AND talents.talent_id IN (talent_relationships.talent_id, talent_relationships.related_talent_id))";

    fn times(&self) -> &Times {
        &self.times
    }

    fn check(at: &PartKey, fields: &RelationshipFields) -> Faults {
        let RelationshipFields { related_talent_id, relationship_type, strength, note } = fields;
        let mut faults = Faults::new();
        let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let good = (1..=50).contains(&relationship_type.chars().count()) && relationship_type.chars().all(plain);
        faults.check(good, "/relationship_type", || "must be 1 to 50 letters, digits, _ or -".to_owned());
        faults.check((0.0..=1.0).contains(strength), "/strength", || "must be 0 to 1".to_owned());
        faults.text("/note", note.as_deref().unwrap_or(""), 2000);
        faults.check(at.talent_id != *related_talent_id, "/related_talent_id", || "is the talent itself".to_owned());
        faults
    }

    /// The other talent is not locked: two that are related to each other at once would wait in a circle. One that is
    /// deleted meanwhile is not shown.
    async fn missing(tx: &mut Tx, fields: &RelationshipFields) -> Result<Faults> {
        let there = base::is_found::<Talent>(tx, fields.related_talent_id.as_str()).await?;
        let mut faults = Faults::new();
        faults.check(there, "/related_talent_id", || "is not one of the talents, or is deleted".to_owned());
        Ok(faults)
    }

    async fn save(tx: &mut Tx, at: &PartKey, fields: &RelationshipFields, times: &Times) -> Result<()> {
        queries::save(tx, at, fields, times).await
    }
}
