//! What talents, skills, companies and projects have in common: they are listed, made, read, changed, deleted softly and
//! restored in one way. A resource says what it is, what is wrong with it and how it is kept; it never handles a request.
//!
//! Read on in `list` (filters, order, pages), `queries`, `routes` (the handlers, one macro).

pub mod list;
pub mod queries;
pub mod routes;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use utoipa::ToSchema;

use self::{list::ListQuery, queries::Listed};
use crate::{
    app::App,
    clock::Timestamp,
    db::{self, AsConn, Tx},
    feed::{Actor, Changes, Topic},
    http::{
        body::Patch,
        error::{ApiError, ApiResult, Faults, OrNotFound as _},
        etag::Conditions,
        page::Page,
    },
};

/// When something was made and changed, and whether it is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, sqlx::FromRow)]
pub struct Life {
    /// Whether it is deleted.
    pub is_deleted: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// One of the main things, as `resource!` declares it.
pub trait Kept: Listed + Clone + Serialize + Sync {
    /// What a caller writes of it.
    type Fields: Clone + Serialize + DeserializeOwned + ToSchema + Send + Sync;

    /// What it is called in messages.
    const WHAT: &'static str;
    /// Where its changes are told: with its key alone, for it may be about a person.
    const TOPIC: Topic;

    /// One with this key.
    fn new(key: String, fields: Self::Fields, life: Life) -> Self;
    /// What a caller wrote.
    fn fields(&self) -> &Self::Fields;
    /// Times and deletion.
    fn life(&self) -> &Life;
}

/// The rules of one of the main things.
pub trait Resource: Kept {
    /// What is wrong with it by itself.
    fn check(fields: &Self::Fields) -> Faults;
    /// What it refers to and is not there; what is there stays so until the transaction ends.
    fn missing(_: &mut Tx, _: &Self::Fields) -> impl Future<Output = db::Result<Faults>> + Send {
        std::future::ready(Ok(Faults::new()))
    }
    /// Why it cannot be beside what is there already, in words.
    fn rival(&self, _: &mut Tx) -> impl Future<Output = db::Result<Option<String>>> + Send {
        std::future::ready(Ok(None))
    }
    /// What keeps it from being deleted, in words.
    fn in_use(&self, _: &mut Tx) -> impl Future<Output = db::Result<Option<String>>> + Send {
        std::future::ready(Ok(None))
    }
    /// Writes it, new or changed.
    fn save(&self, tx: &mut Tx) -> impl Future<Output = db::Result<()>> + Send;

    /// Reads what of it is in other tables.
    fn complete(_: &mut dyn AsConn, _: &mut [Self]) -> impl Future<Output = db::Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// A page of them.
pub async fn list<R: Resource>(app: &App, query: impl ListQuery) -> ApiResult<Page<R>> {
    let always = if query.deleted() { "is_deleted = TRUE" } else { "is_deleted = FALSE" };
    let mut on = app.db.read().await?;
    let mut page = list::page(&mut on, query.asked(), always).await?;
    R::complete(&mut on, &mut page.items).await?;
    Ok(page)
}

/// The one with this key, unless it is deleted.
pub async fn read<R: Resource>(on: &mut dyn AsConn, key: &str) -> ApiResult<R> {
    let found = if key.contains('\0') { None } else { queries::find(on, key).await? };
    whole(on, found).await
}

/// As `read`, and nobody else changes it before the transaction ends.
pub async fn lock<R: Resource>(tx: &mut Tx, key: &str) -> ApiResult<R> {
    let found = lock_any(tx, key).await?;
    whole(tx, found).await
}

async fn lock_any<R: Resource>(tx: &mut Tx, key: &str) -> ApiResult<Option<R>> {
    Ok(if key.contains('\0') { None } else { queries::lock(tx, key).await? })
}

async fn whole<R: Resource>(on: &mut dyn AsConn, found: Option<R>) -> ApiResult<R> {
    let mut found = [found.filter(|found| !found.life().is_deleted).or_not_found(R::WHAT)?];
    R::complete(on, &mut found).await?;
    let [found] = found;
    Ok(found)
}

/// Makes one.
pub async fn create<R: Resource>(app: &App, actor: Actor, fields: R::Fields) -> ApiResult<R> {
    let now = app.clock.now();
    let life = Life { is_deleted: false, created_at: now, updated_at: now };
    write(app, app.db.write().await?, actor, None, R::new(app.ids.next(), fields, life)).await
}

/// Changes one: `change` gives what it shall be from what it is.
pub async fn change<R: Resource>(
    app: &App,
    actor: Actor,
    conditions: &Conditions,
    key: &str,
    change: impl FnOnce(&R::Fields) -> ApiResult<R::Fields>,
) -> ApiResult<R> {
    let mut tx = app.db.write().await?;
    let before: R = lock(&mut tx, key).await?;
    conditions.allow_write(&before)?;
    let life = Life { updated_at: app.clock.now(), ..before.life().clone() };
    let after = R::new(key.to_owned(), change(before.fields())?, life);
    write(app, tx, actor, Some(before), after).await
}

/// Changes one by a merge patch.
pub async fn patch<R: Resource>(
    app: &App,
    actor: Actor,
    conditions: &Conditions,
    key: &str,
    patch: Patch,
) -> ApiResult<R> {
    change(app, actor, conditions, key, |fields| patch.apply(fields)).await
}

async fn write<R: Resource>(app: &App, mut tx: Tx, actor: Actor, before: Option<R>, after: R) -> ApiResult<R> {
    let mut faults = R::check(after.fields());
    faults.under("", R::missing(&mut tx, after.fields()).await?);
    faults.finish()?;
    save(app, tx, actor, before, after, "update").await
}

/// Deletes one softly: it keeps what belongs to it, and can be restored.
pub async fn remove<R: Resource>(app: &App, actor: Actor, conditions: &Conditions, key: &str) -> ApiResult<()> {
    let mut tx = app.db.write().await?;
    let before: R = lock(&mut tx, key).await?;
    conditions.allow_write(&before)?;
    if let Some(why) = before.in_use(&mut tx).await? {
        return Err(ApiError::Conflict(why));
    }
    let life = Life { is_deleted: true, updated_at: app.clock.now(), ..before.life().clone() };
    let after = R::new(key.to_owned(), before.fields().clone(), life);
    save(app, tx, actor, Some(before), after, "delete").await.map(drop)
}

/// Takes the deletion back; one that is not deleted stays as it is.
pub async fn restore<R: Resource>(app: &App, actor: Actor, key: &str) -> ApiResult<R> {
    let mut tx = app.db.write().await?;
    let mut found = [lock_any::<R>(&mut tx, key).await?.or_not_found(R::WHAT)?];
    R::complete(&mut tx, &mut found).await?;
    let [before] = found;
    if !before.life().is_deleted {
        return Ok(before);
    }
    let life = Life { is_deleted: false, updated_at: app.clock.now(), ..before.life().clone() };
    let after = R::new(key.to_owned(), before.fields().clone(), life);
    save(app, tx, actor, Some(before), after, "restore").await
}

async fn save<R: Resource>(
    app: &App,
    mut tx: Tx,
    actor: Actor,
    before: Option<R>,
    after: R,
    action: &str,
) -> ApiResult<R> {
    if !after.life().is_deleted
        && let Some(why) = after.rival(&mut tx).await?
    {
        return Err(ApiError::Conflict(why));
    }
    after.save(&mut tx).await?;
    let action = if before.is_some() { action } else { "create" };
    let mut changes = Changes::by(actor);
    let json = |thing: &R| serde_json::to_value(thing).map_err(|error| ApiError::Internal(error.into()));
    changes.audit(R::TOPIC.name, after.key(), action, before.as_ref().map(json).transpose()?, Some(json(&after)?));
    if after.life().is_deleted {
        changes.delete_quietly(R::TOPIC, after.key());
    } else {
        changes.put_quietly(R::TOPIC, after.key(), &json!({ (R::KEY): after.key() }));
    }
    app.feed.commit(tx, changes).await?;
    Ok(after)
}

/// What of `wanted`, each a pointer and a key, is not in `table`, or is deleted there.
pub async fn missing(
    tx: &mut Tx,
    table: &'static str,
    key: &'static str,
    wanted: &[(String, &str)],
) -> db::Result<Faults> {
    let keys: Vec<_> = wanted.iter().map(|(_, key)| *key).filter(|key| !key.contains('\0')).collect();
    let mut faults = Faults::new();
    if wanted.is_empty() {
        return Ok(faults);
    }
    let present = queries::present(tx, table, key, &keys).await?;
    for (pointer, key) in wanted {
        let there = present.iter().any(|present| present == key);
        faults.check(there, pointer, || format!("is not one of the {table}, or is deleted"));
    }
    Ok(faults)
}

/// Whether the one with this key is there and not deleted, as of now.
pub async fn is_found<R: Resource>(on: &mut dyn AsConn, key: &str) -> db::Result<bool> {
    let found: Option<R> = if key.contains('\0') { None } else { queries::find(on, key).await? };
    Ok(found.is_some_and(|found| !found.life().is_deleted))
}

/// Whether a row of `table` is there and not deleted; it stays so until the transaction ends.
pub async fn is_there(tx: &mut Tx, table: &'static str, column: &'static str, key: &str) -> db::Result<bool> {
    Ok(!queries::present(tx, table, column, &[key]).await?.is_empty())
}

/// Declares a main thing around what a caller writes of it.
macro_rules! resource {
    ($(#[$meta:meta])* $name:ident { $key:ident: $id:ident, $fields:ident }, $what:literal in $topic:literal, $select:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema, sqlx::FromRow)]
        pub struct $name {
            /// Its key.
            pub $key: $id,
            /// What a caller wrote.
            #[serde(flatten)]
            #[sqlx(flatten)]
            pub fields: $fields,
            /// Times and deletion.
            #[serde(flatten)]
            #[sqlx(flatten)]
            pub life: $crate::talent::base::Life,
        }

        impl $crate::talent::base::Kept for $name {
            type Fields = $fields;

            const WHAT: &'static str = $what;
            const TOPIC: $crate::feed::Topic =
                $crate::feed::Topic { name: $topic, scope: Some($crate::http::auth::Scope::TalentsRead) };

            fn new(key: String, fields: $fields, life: $crate::talent::base::Life) -> Self {
                Self { $key: key.into(), fields, life }
            }

            fn fields(&self) -> &$fields {
                &self.fields
            }

            fn life(&self) -> &$crate::talent::base::Life {
                &self.life
            }
        }

        impl $crate::talent::base::queries::Listed for $name {
            const SELECT: &'static str = $select;
            const KEY: &'static str = stringify!($key);
            const SORTS: &'static [&'static str] = &["created_at", "updated_at", "name"];

            fn key(&self) -> &str {
                self.$key.as_str()
            }

            fn sort_value(&self, field: &str) -> $crate::talent::base::queries::Value {
                use $crate::talent::base::queries::Value;
                match field {
                    "created_at" => Value::Time(self.life.created_at),
                    "updated_at" => Value::Time(self.life.updated_at),
                    _ => Value::Text(self.fields.name.clone()),
                }
            }
        }
    };
}

pub(in crate::talent) use resource;
