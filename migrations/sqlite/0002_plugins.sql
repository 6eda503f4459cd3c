-- Which version of a plugin serves.
CREATE TABLE plugins (
    plugin_name TEXT    NOT NULL PRIMARY KEY,
    serving     TEXT    NOT NULL, -- digest of its version
    enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Versions that were taken, and when each last came into service.
CREATE TABLE plugin_versions (
    plugin_name TEXT    NOT NULL,
    digest      TEXT    NOT NULL, -- SHA-256 of the component, in hexadecimal
    version     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    source      TEXT    NOT NULL CHECK (source IN ('folder', 'upload')),
    loaded_at   INTEGER NOT NULL,
    PRIMARY KEY (plugin_name, digest)
) STRICT, WITHOUT ROWID;

-- The components of the latest versions, for rolling back and for other replicas.
CREATE TABLE plugin_files (
    digest     TEXT    NOT NULL PRIMARY KEY,
    component  BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What operators granted; the highest revision is in force, the others are kept.
CREATE TABLE plugin_grants (
    plugin_name TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    grants      TEXT    NOT NULL CHECK (json_valid(grants)),
    actor       TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (plugin_name, revision)
) STRICT, WITHOUT ROWID;

-- What plugins keep.
CREATE TABLE plugin_kv (
    plugin_name TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    value       BLOB    NOT NULL,
    size        INTEGER NOT NULL, -- of key and value, in bytes
    expires_at  INTEGER,
    PRIMARY KEY (plugin_name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_kv_by_expiry ON plugin_kv (expires_at) WHERE expires_at IS NOT NULL;
