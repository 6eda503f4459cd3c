//! What belongs to one talent: skills, projects, experiences, educations, certifications, relationships. They are listed,
//! written and removed in one way. A part is changed under the lock of its talent, and removed for good.
//!
//! Read on in `skills` for the simplest of them, and in `routes` (the handlers, one macro each for parts that are named by
//! what they point to and for parts with keys of their own).

mod certifications;
mod educations;
mod experiences;
mod projects;
mod queries;
mod relationships;
mod routes;
mod skills;

use serde::Serialize;
use serde_json::{Value, json};

use super::{
    base::{
        self, Kept as _,
        list::{self, Filter, ListQuery},
        queries::Listed,
    },
    talents::{Talent, TalentId},
};
use crate::{
    app::App,
    clock::Timestamp,
    db::{self, AsConn, Tx},
    feed::{Actor, Changes},
    http::{
        error::{ApiError, ApiResult, Faults, OrNotFound as _},
        etag::Conditions,
        page::Page,
    },
};

pub(super) use routes::routes;

/// When a part was made and changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema, sqlx::FromRow)]
pub struct Times {
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which part of which talent.
#[derive(Clone, Debug)]
pub struct PartKey {
    /// Whose it is.
    pub talent_id: TalentId,
    /// Which of them: a key of its own, or the key of what it points to.
    pub key: String,
}

/// Something that belongs to a talent.
pub trait Part: Listed + Clone + Serialize + Sync {
    /// What a caller writes of it.
    type Fields: Send + Sync;

    /// What it is called in messages.
    const WHAT: &'static str;
    /// What its key points to is called.
    const TARGET: &'static str = Self::WHAT;
    /// What it is called in the audit: its table.
    const TABLE: &'static str;
    /// Which of the rows of its table a talent's list shows; `{}` is the talent.
    const OF_TALENT: &'static str = "talent_id = {}";
    /// What a row must fulfil beside that to be shown.
    const SHOWN: &'static str = "TRUE";

    /// Times.
    fn times(&self) -> &Times;

    /// What is wrong with it by itself.
    fn check(key: &PartKey, fields: &Self::Fields) -> Faults;
    /// What it refers to and is not there; what is there stays so until the transaction ends.
    fn missing(_: &mut Tx, _: &Self::Fields) -> impl Future<Output = db::Result<Faults>> + Send {
        std::future::ready(Ok(Faults::new()))
    }
    /// Whether what its key points to is there; it stays so until the transaction ends.
    fn target_is_there(_: &mut Tx, _: &str) -> impl Future<Output = db::Result<bool>> + Send {
        std::future::ready(Ok(true))
    }
    /// Writes it, new or changed.
    fn save(
        tx: &mut Tx,
        at: &PartKey,
        fields: &Self::Fields,
        times: &Times,
    ) -> impl Future<Output = db::Result<()>> + Send;
}

/// Which of its talent's parts it is.
pub fn key<P: Part>(part: &P) -> &str {
    part.key()
}

/// A page of the parts of a talent.
pub async fn list<P: Part>(app: &App, talent: String, query: impl ListQuery) -> ApiResult<Page<P>> {
    let mut on = app.db.read().await?;
    let talent: Talent = base::read(&mut on, &talent).await?;
    let mut asked = query.asked();
    asked.filters.push(Filter { field: "talent_id", condition: P::OF_TALENT, value: talent.talent_id.0 });
    list::page(&mut on, asked, P::SHOWN).await
}

/// A part of a talent.
pub async fn read<P: Part>(app: &App, [talent, key]: [String; 2]) -> ApiResult<P> {
    let mut on = app.db.read().await?;
    let Talent { talent_id, .. } = base::read(&mut on, &talent).await?;
    find(&mut on, &PartKey { talent_id, key }).await?.or_not_found(P::WHAT)
}

/// Makes a part with a key of its own.
pub async fn create<P: Part>(app: &App, actor: Actor, talent: String, fields: P::Fields) -> ApiResult<P> {
    let mut tx = app.db.write().await?;
    let Talent { talent_id, .. } = base::lock(&mut tx, &talent).await?;
    write(app, tx, actor, (PartKey { talent_id, key: app.ids.next() }, fields), None).await
}

/// Replaces a part that is there.
pub async fn replace<P: Part>(
    app: &App,
    actor: Actor,
    conditions: &Conditions,
    at: [String; 2],
    fields: P::Fields,
) -> ApiResult<P> {
    let (tx, at, before) = lock::<P>(app, at).await?;
    let before = before.or_not_found(P::WHAT)?;
    conditions.allow_write(&before)?;
    write(app, tx, actor, (at, fields), Some(before)).await
}

/// Makes or replaces the part that is named by what it points to; and whether it was made.
pub async fn put<P: Part>(
    app: &App,
    actor: Actor,
    conditions: &Conditions,
    at: [String; 2],
    fields: P::Fields,
) -> ApiResult<(P, bool)> {
    let (mut tx, at, before) = lock::<P>(app, at).await?;
    if at.key.contains('\0') || !P::target_is_there(&mut tx, &at.key).await? {
        return Err(ApiError::NotFound(P::TARGET.to_owned()));
    }
    if let Some(before) = &before {
        conditions.allow_write(before)?;
    }
    let is_new = before.is_none();
    Ok((write(app, tx, actor, (at, fields), before).await?, is_new))
}

/// Removes a part for good.
pub async fn remove<P: Part>(app: &App, actor: Actor, conditions: &Conditions, at: [String; 2]) -> ApiResult<()> {
    let (mut tx, at, before) = lock::<P>(app, at).await?;
    let before = before.or_not_found(P::WHAT)?;
    conditions.allow_write(&before)?;
    queries::delete::<P>(&mut tx, &at).await?;
    commit::<P>(app, tx, actor, &at, [Some(&before), None]).await
}

/// The part, while nobody else changes anything of its talent.
async fn lock<P: Part>(app: &App, [talent, key]: [String; 2]) -> ApiResult<(Tx, PartKey, Option<P>)> {
    let mut tx = app.db.write().await?;
    let Talent { talent_id, .. } = base::lock(&mut tx, &talent).await?;
    let at = PartKey { talent_id, key };
    let found = find(&mut tx, &at).await?;
    Ok((tx, at, found))
}

async fn find<P: Part>(on: &mut dyn AsConn, at: &PartKey) -> ApiResult<Option<P>> {
    Ok(if at.key.contains('\0') { None } else { queries::find(on, at).await? })
}

async fn write<P: Part>(
    app: &App,
    mut tx: Tx,
    actor: Actor,
    (at, fields): (PartKey, P::Fields),
    before: Option<P>,
) -> ApiResult<P> {
    let mut faults = P::check(&at, &fields);
    faults.under("", P::missing(&mut tx, &fields).await?);
    faults.finish()?;
    let now = app.clock.now();
    let created_at = before.as_ref().map_or(now, |before| before.times().created_at);
    P::save(&mut tx, &at, &fields, &Times { created_at, updated_at: now }).await?;
    let after: P = queries::find(&mut tx, &at).await?.or_not_found(P::WHAT)?;
    commit(app, tx, actor, &at, [before.as_ref(), Some(&after)]).await?;
    Ok(after)
}

/// The audit keeps what changed; the feed tells that something of this talent did.
async fn commit<P: Part>(
    app: &App,
    tx: Tx,
    actor: Actor,
    at: &PartKey,
    [before, after]: [Option<&P>; 2],
) -> ApiResult<()> {
    let action = match (before, after) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    };
    let json = |part: Option<&P>| -> ApiResult<Option<Value>> {
        part.map(serde_json::to_value).transpose().map_err(|error| ApiError::Internal(error.into()))
    };
    let mut changes = Changes::by(actor);
    let PartKey { talent_id, key } = at;
    changes.audit(P::TABLE, &format!("{talent_id}/{key}"), action, json(before)?, json(after)?);
    changes.put_quietly(Talent::TOPIC, talent_id.as_str(), &json!({"talent_id": talent_id}));
    app.feed.commit(tx, changes).await?;
    Ok(())
}

/// Its statements.
pub(super) fn statements() -> Vec<(&'static str, &'static str)> {
    [
        skills::STATEMENTS,
        projects::STATEMENTS,
        experiences::STATEMENTS,
        educations::STATEMENTS,
        certifications::STATEMENTS,
        relationships::STATEMENTS,
    ]
    .concat()
}

/// Declares a part around what a caller writes of it.
macro_rules! part {
    ($(#[$meta:meta])* $name:ident { $key:ident: $id:ident, $fields:ident } $(with { $(#[$plus_meta:meta])* $plus:ident: $plus_type:ty })? from $select:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
        pub struct $name {
            /// Whose it is.
            pub talent_id: $crate::talent::talents::TalentId,
            /// Which of them.
            pub $key: $id,
            $($(#[$plus_meta])* pub $plus: $plus_type,)?
            /// What a caller wrote.
            #[serde(flatten)]
            #[sqlx(flatten)]
            pub fields: $fields,
            /// Times.
            #[serde(flatten)]
            #[sqlx(flatten)]
            pub times: $crate::talent::parts::Times,
        }

        impl $crate::talent::base::queries::Listed for $name {
            const SELECT: &'static str = $select;
            const KEY: &'static str = stringify!($key);
            const SORTS: &'static [&'static str] = &["created_at", "updated_at"];

            fn key(&self) -> &str {
                self.$key.as_str()
            }

            fn sort_value(&self, field: &str) -> $crate::talent::base::queries::Value {
                use $crate::talent::base::queries::Value;
                Value::Time(if field == "updated_at" { self.times.updated_at } else { self.times.created_at })
            }
        }
    };
}

use part;
