//! Talents: people whose work is known. Who they are never reaches a plugin or the feed.

mod queries;
mod routes;
mod types;

use super::{
    base::{Life, Resource},
    text::TalentFaults as _,
};
use crate::{
    db::{Result, Tx},
    feed::Topic,
    http::{auth::Scope, error::Faults},
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
pub use types::{Talent, TalentFields, TalentId, TalentStatus};

/// Talents: the key of one that changed, and nothing about the person.
pub const TALENTS: Topic = Topic { name: "talents", scope: Some(Scope::TalentsRead) };

impl Resource for Talent {
    type Fields = TalentFields;

    const WHAT: &'static str = "talent";
    const TOPIC: Topic = TALENTS;

    fn new(key: String, fields: TalentFields, life: Life) -> Self {
        Self { talent_id: key.into(), fields, life }
    }

    fn fields(&self) -> &TalentFields {
        &self.fields
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn check(fields: &TalentFields) -> Faults {
        let mut faults = Faults::new();
        faults.name("/name", &fields.name, 200);
        faults.email("/email", fields.email.as_ref());
        faults.short("/phone", fields.phone.as_ref());
        if let Some(avatar) = &fields.avatar {
            faults.name("/avatar", avatar, 2000);
        }
        for (pointer, text) in [
            ("/current_position", &fields.current_position),
            ("/current_company", &fields.current_company),
            ("/industry", &fields.industry),
            ("/education_level", &fields.education_level),
            ("/major", &fields.major),
            ("/university", &fields.university),
        ] {
            faults.short(pointer, text.as_ref());
        }
        faults
    }

    async fn rival(&self, tx: &mut Tx) -> Result<Option<String>> {
        let rival = queries::with_same_email(tx, self).await?;
        Ok(rival.map(|other| format!("the talent {other} has this email already")))
    }

    async fn save(&self, tx: &mut Tx) -> Result<()> {
        queries::save(tx, self).await
    }
}
