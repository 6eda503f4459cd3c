//! Talents: people whose work is known. Who they are never reaches a plugin or the feed.

mod queries;
mod routes;
mod types;

use super::{base::Resource, text::TalentFaults as _};
use crate::{
    db::{Result, Tx},
    http::error::Faults,
};

pub(super) use queries::STATEMENTS;
pub(super) use routes::routes;
pub use types::{Talent, TalentFields, TalentId, TalentStatus};

impl Resource for Talent {
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
