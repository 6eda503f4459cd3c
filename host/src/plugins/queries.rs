//! SQL of plugins: which version serves, the versions there were, their files, grants, and what plugins keep.

use super::{
    grants::GrantsText,
    kv::{Entry, size},
    rollout,
    types::{Kind, PluginName, Source},
};
use crate::{
    clock::Timestamp,
    db::{AsConn, Conn, Json, Result, Tx},
    on_db, statements,
};

statements! { STATEMENTS:
    ALL = "SELECT plugin_name, serving, enabled FROM plugins ORDER BY plugin_name";
    FIND = "SELECT plugin_name, serving, enabled FROM plugins WHERE plugin_name = $1";
    SET_SERVING = "INSERT INTO plugins (plugin_name, serving, enabled, updated_at) VALUES ($1, $2, TRUE, $3) \
        ON CONFLICT (plugin_name) DO UPDATE SET serving = excluded.serving, updated_at = excluded.updated_at \
        RETURNING enabled";
    SET_ENABLED = "UPDATE plugins SET enabled = $2, updated_at = $3 WHERE plugin_name = $1";
    DELETE = "DELETE FROM plugins WHERE plugin_name = $1";
    VERSIONS = "SELECT plugin_name, digest, version, kind, source, loaded_at, signature FROM plugin_versions \
        WHERE plugin_name = $1 ORDER BY loaded_at DESC, digest LIMIT 50";
    VERSION = "SELECT plugin_name, digest, version, kind, source, loaded_at, signature FROM plugin_versions \
        WHERE plugin_name = $1 AND digest = $2";
    /// A signature that was good once stays with its version.
    KEEP_VERSION = "INSERT INTO plugin_versions (plugin_name, digest, version, kind, source, loaded_at, signature) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (plugin_name, digest) DO UPDATE SET source = excluded.source, loaded_at = excluded.loaded_at, \
        signature = coalesce(excluded.signature, plugin_versions.signature)";
    DELETE_VERSIONS = "DELETE FROM plugin_versions WHERE plugin_name = $1";
    FILE = "SELECT component FROM plugin_files WHERE digest = $1";
    KEEP_FILE = "INSERT INTO plugin_files (digest, component, created_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING";
    /// The files of the latest four versions of each plugin stay, and that of a version on its way.
    PRUNE_FILES = "DELETE FROM plugin_files WHERE digest NOT IN (SELECT digest FROM (SELECT digest, \
        row_number() OVER (PARTITION BY plugin_name ORDER BY loaded_at DESC, digest) AS n FROM plugin_versions) AS ranked \
        WHERE n <= 4) AND digest NOT IN (SELECT digest FROM plugin_candidates)";
    ALL_GRANTS = "SELECT g.plugin_name, g.grants FROM plugin_grants g WHERE g.revision = \
        (SELECT max(l.revision) FROM plugin_grants l WHERE l.plugin_name = g.plugin_name)";
    GRANTS = "SELECT grants FROM plugin_grants WHERE plugin_name = $1 ORDER BY revision DESC LIMIT 1";
    KEEP_GRANTS = "INSERT INTO plugin_grants (plugin_name, revision, grants, actor, created_at) \
        SELECT $1, coalesce(max(revision), 0) + 1, $2, $3, $4 FROM plugin_grants WHERE plugin_name = $1";
    KV_FIND = "SELECT value FROM plugin_kv WHERE plugin_name = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)";
    KV_BYTES_BESIDE = "SELECT CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes FROM plugin_kv \
        WHERE plugin_name = $1 AND key <> $2 AND (expires_at IS NULL OR expires_at > $3)";
    KV_SET = "INSERT INTO plugin_kv (plugin_name, key, value, size, expires_at) VALUES ($1, $2, $3, $4, $5) \
        ON CONFLICT (plugin_name, key) DO UPDATE SET value = excluded.value, size = excluded.size, \
        expires_at = excluded.expires_at";
    KV_DELETE = "DELETE FROM plugin_kv WHERE plugin_name = $1 AND key = $2";
    KV_DELETE_ALL = "DELETE FROM plugin_kv WHERE plugin_name = $1";
    KV_EXPIRE = "DELETE FROM plugin_kv WHERE expires_at <= $1";
}

statements! { POSTGRES:
    /// Two replicas must not both find room for the last bytes.
    KV_LOCK = "SELECT 1 AS one FROM pg_advisory_xact_lock(hashtext('plugin_kv:' || $1))";
}

/// Which version of a plugin serves.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Serving {
    pub(super) plugin_name: String,
    pub(super) serving: String,
    pub(super) enabled: bool,
}

/// A version that was taken.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct KnownVersion {
    pub(super) plugin_name: String,
    pub(super) digest: String,
    pub(super) version: String,
    pub(super) kind: Kind,
    pub(super) source: Source,
    pub(super) loaded_at: Timestamp,
    pub(super) signature: Option<String>,
}

pub(super) async fn all(on: &mut dyn AsConn) -> Result<Vec<Serving>> {
    on_db!(on, |c| sqlx::query_as(ALL).fetch_all(c).await)
}

pub(super) async fn find(on: &mut dyn AsConn, name: &PluginName) -> Result<Option<Serving>> {
    on_db!(on, |c| sqlx::query_as(FIND).bind(name.as_str()).fetch_optional(c).await)
}

/// Says whether it is enabled; a new plugin is.
pub(super) async fn set_serving(tx: &mut Tx, name: &PluginName, digest: &str, now: Timestamp) -> Result<bool> {
    on_db!(tx, |c| sqlx::query_scalar(SET_SERVING).bind(name.as_str()).bind(digest).bind(now).fetch_one(c).await)
}

pub(super) async fn set_enabled(tx: &mut Tx, name: &PluginName, enabled: bool, now: Timestamp) -> Result<bool> {
    let done = on_db!(tx, |c| sqlx::query(SET_ENABLED)
        .bind(name.as_str())
        .bind(enabled)
        .bind(now)
        .execute(c)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(done > 0)
}

/// Forgets a plugin, its versions and its keys. Its grants stay: they were given to a name.
pub(super) async fn delete(tx: &mut Tx, name: &PluginName) -> Result<()> {
    for statement in [DELETE, DELETE_VERSIONS, KV_DELETE_ALL] {
        on_db!(tx, |c| sqlx::query(statement).bind(name.as_str()).execute(c).await.map(drop))?;
    }
    rollout::forget(tx, name).await?;
    prune_files(tx).await
}

/// Latest first.
pub(super) async fn versions(on: &mut dyn AsConn, name: &PluginName) -> Result<Vec<KnownVersion>> {
    on_db!(on, |c| sqlx::query_as(VERSIONS).bind(name.as_str()).fetch_all(c).await)
}

pub(super) async fn version(on: &mut dyn AsConn, name: &PluginName, digest: &str) -> Result<Option<KnownVersion>> {
    on_db!(on, |c| sqlx::query_as(VERSION).bind(name.as_str()).bind(digest).fetch_optional(c).await)
}

pub(super) async fn keep_version(tx: &mut Tx, known: &KnownVersion) -> Result<()> {
    let KnownVersion { plugin_name, digest, version, kind, source, loaded_at, signature } = known;
    on_db!(tx, |c| sqlx::query(KEEP_VERSION)
        .bind(plugin_name)
        .bind(digest)
        .bind(version)
        .bind(kind)
        .bind(source)
        .bind(loaded_at)
        .bind(signature)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn file(on: &mut dyn AsConn, digest: &str) -> Result<Option<Vec<u8>>> {
    on_db!(on, |c| sqlx::query_scalar(FILE).bind(digest).fetch_optional(c).await)
}

pub(super) async fn keep_file(tx: &mut Tx, digest: &str, component: &[u8], now: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(KEEP_FILE).bind(digest).bind(component).bind(now).execute(c).await.map(drop))
}

pub(super) async fn prune_files(tx: &mut Tx) -> Result<()> {
    on_db!(tx, |c| sqlx::query(PRUNE_FILES).execute(c).await.map(drop))
}

pub(super) async fn all_grants(on: &mut dyn AsConn) -> Result<Vec<(String, Json<GrantsText>)>> {
    on_db!(on, |c| sqlx::query_as(ALL_GRANTS).fetch_all(c).await)
}

pub(super) async fn grants(on: &mut dyn AsConn, name: &PluginName) -> Result<Option<GrantsText>> {
    let found: Option<Json<GrantsText>> =
        on_db!(on, |c| sqlx::query_scalar(GRANTS).bind(name.as_str()).fetch_optional(c).await)?;
    Ok(found.map(|Json(grants)| grants))
}

pub(super) async fn keep_grants(
    tx: &mut Tx,
    name: &PluginName,
    grants: &GrantsText,
    actor: &str,
    now: Timestamp,
) -> Result<()> {
    on_db!(tx, |c| sqlx::query(KEEP_GRANTS)
        .bind(name.as_str())
        .bind(Json(grants))
        .bind(actor)
        .bind(now)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn kv_find(
    on: &mut dyn AsConn,
    plugin: &PluginName,
    key: &str,
    now: Timestamp,
) -> Result<Option<Vec<u8>>> {
    on_db!(on, |c| sqlx::query_scalar(KV_FIND).bind(plugin.as_str()).bind(key).bind(now).fetch_optional(c).await)
}

/// Lets one transaction at a time change a plugin's keys. SQLite has one writer anyway.
pub(super) async fn kv_lock(tx: &mut Tx, plugin: &PluginName) -> Result<()> {
    match tx.conn() {
        Conn::Sqlite(_) => Ok(()),
        Conn::Postgres(c) => sqlx::query(KV_LOCK).bind(plugin.as_str()).execute(c).await.map(drop),
    }
}

pub(super) async fn kv_bytes_beside(tx: &mut Tx, plugin: &PluginName, key: &str, now: Timestamp) -> Result<i64> {
    on_db!(tx, |c| sqlx::query_scalar(KV_BYTES_BESIDE).bind(plugin.as_str()).bind(key).bind(now).fetch_one(c).await)
}

pub(super) async fn kv_set(tx: &mut Tx, plugin: &PluginName, key: &str, entry: &Entry) -> Result<()> {
    let bytes = i64::try_from(size(key, entry)).unwrap_or(i64::MAX);
    let Entry { value, expires_at } = entry;
    on_db!(tx, |c| sqlx::query(KV_SET)
        .bind(plugin.as_str())
        .bind(key)
        .bind(value)
        .bind(bytes)
        .bind(expires_at)
        .execute(c)
        .await
        .map(drop))
}

pub(super) async fn kv_delete(tx: &mut Tx, plugin: &PluginName, key: &str) -> Result<()> {
    on_db!(tx, |c| sqlx::query(KV_DELETE).bind(plugin.as_str()).bind(key).execute(c).await.map(drop))
}

pub(super) async fn kv_expire(tx: &mut Tx, now: Timestamp) -> Result<()> {
    on_db!(tx, |c| sqlx::query(KV_EXPIRE).bind(now).execute(c).await.map(drop))
}
