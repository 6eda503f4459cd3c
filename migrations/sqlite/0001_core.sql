-- The change feed. `feed_head` has one row: the newest revision. It is updated in the transaction of each change.
CREATE TABLE feed_head (
    one      INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO feed_head (one, revision) VALUES (1, 0);

CREATE TABLE changes (
    revision   INTEGER NOT NULL PRIMARY KEY,
    replica_id TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    op         TEXT    NOT NULL CHECK (op IN ('put', 'delete')),
    key        TEXT    NOT NULL,
    value      TEXT    CHECK (value IS NULL OR json_valid(value)), -- absent when deleted
    at         INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE replicas (
    replica_id TEXT    NOT NULL PRIMARY KEY,
    address    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which replica does a piece of periodic work.
CREATE TABLE task_leases (
    task_name  TEXT    NOT NULL PRIMARY KEY,
    replica_id TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cluster_users (
    user_id       TEXT    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    email         TEXT    UNIQUE,
    password_hash TEXT    NOT NULL, -- argon2id, PHC string
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    permissions   TEXT    NOT NULL CHECK (json_valid(permissions)),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'inactive', 'suspended')),
    last_login    INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_sessions (
    session_id    TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES cluster_users (user_id) ON DELETE CASCADE,
    session_token TEXT    NOT NULL UNIQUE, -- SHA-256 of the refresh token in use, in hexadecimal
    generation    INTEGER NOT NULL,        -- how often it was rotated
    source        TEXT    NOT NULL,        -- the address that signed in
    expires_at    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX user_sessions_by_user ON user_sessions (user_id);

CREATE TABLE api_tokens (
    token_id     TEXT    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    token_hash   TEXT    NOT NULL UNIQUE, -- SHA-256 of the token, in hexadecimal
    user_id      TEXT    NOT NULL REFERENCES cluster_users (user_id) ON DELETE CASCADE,
    scopes       TEXT    NOT NULL CHECK (json_valid(scopes)),
    service_id   TEXT,                    -- bound to this service alone
    service_name TEXT,                    -- bound to services of this name
    expires_at   INTEGER,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

CREATE TABLE audit_logs (
    audit_id      TEXT    NOT NULL PRIMARY KEY,
    actor         TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    before_value  TEXT    CHECK (before_value IS NULL OR json_valid(before_value)),
    after_value   TEXT    CHECK (after_value IS NULL OR json_valid(after_value)),
    source        TEXT    NOT NULL, -- the address that asked
    request_id    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_logs_by_time ON audit_logs (created_at, audit_id);
CREATE INDEX audit_logs_by_resource ON audit_logs (resource_type, resource_id, created_at, audit_id);
CREATE INDEX audit_logs_by_actor ON audit_logs (actor, created_at, audit_id);
CREATE INDEX audit_logs_by_request ON audit_logs (request_id);

CREATE TABLE idempotency_keys (
    key_hash   TEXT    NOT NULL PRIMARY KEY, -- SHA-256 of caller, method, path and key
    body_hash  TEXT    NOT NULL,             -- keyed code of query and body
    status     INTEGER,                      -- absent while the first request runs
    headers    TEXT    CHECK (headers IS NULL OR json_valid(headers)),
    body       BLOB,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
