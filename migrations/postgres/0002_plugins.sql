-- Which version of a plugin serves.
CREATE TABLE plugins (
    plugin_name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    serving     TEXT    NOT NULL, -- digest of its version
    enabled     BOOLEAN NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- Versions that were taken, and when each last came into service.
CREATE TABLE plugin_versions (
    plugin_name TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL, -- SHA-256 of the component, in hexadecimal
    version     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    source      TEXT    NOT NULL CHECK (source IN ('folder', 'upload')),
    loaded_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (plugin_name, digest)
);

-- The components of the latest versions, for rolling back and for other replicas.
CREATE TABLE plugin_files (
    digest     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    component  BYTEA    NOT NULL,
    created_at TIMESTAMPTZ NOT NULL
);

-- What operators granted; the highest revision is in force, the others are kept.
CREATE TABLE plugin_grants (
    plugin_name TEXT COLLATE "C" NOT NULL,
    revision    BIGINT NOT NULL,
    grants      JSONB    NOT NULL,
    actor       TEXT    NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (plugin_name, revision)
);

-- What plugins keep.
CREATE TABLE plugin_kv (
    plugin_name TEXT COLLATE "C" NOT NULL,
    key         TEXT COLLATE "C" NOT NULL,
    value       BYTEA    NOT NULL,
    size        BIGINT NOT NULL, -- of key and value, in bytes
    expires_at  TIMESTAMPTZ,
    PRIMARY KEY (plugin_name, key)
);
CREATE INDEX plugin_kv_by_expiry ON plugin_kv (expires_at) WHERE expires_at IS NOT NULL;
