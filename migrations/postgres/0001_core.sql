-- The change feed. `feed_head` has one row: the newest revision. It is updated in the transaction of each change.
CREATE TABLE feed_head (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    revision BIGINT NOT NULL
);
INSERT INTO feed_head (one, revision) VALUES (1, 0);

CREATE TABLE changes (
    revision   BIGINT NOT NULL PRIMARY KEY,
    replica_id TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    op         TEXT    NOT NULL CHECK (op IN ('put', 'delete')),
    key        TEXT    NOT NULL,
    value      JSONB, -- absent when deleted
    at         TIMESTAMPTZ NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);

CREATE TABLE replicas (
    replica_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    address    TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    last_seen  TIMESTAMPTZ NOT NULL
);

-- Which replica does a piece of periodic work.
CREATE TABLE task_leases (
    task_name  TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    replica_id TEXT    NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE cluster_users (
    user_id       TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    email         TEXT    UNIQUE,
    password_hash TEXT    NOT NULL, -- argon2id, PHC string
    role          TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    permissions   JSONB    NOT NULL,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'inactive', 'suspended')),
    last_login    TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);

CREATE TABLE user_sessions (
    session_id    TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES cluster_users (user_id) ON DELETE CASCADE,
    session_token TEXT    NOT NULL UNIQUE, -- SHA-256 of the refresh token in use, in hexadecimal
    generation    BIGINT NOT NULL,        -- how often it was rotated
    source        TEXT    NOT NULL,        -- the address that signed in
    expires_at    TIMESTAMPTZ NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX user_sessions_by_user ON user_sessions (user_id);

CREATE TABLE api_tokens (
    token_id     TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL,
    token_hash   TEXT    NOT NULL UNIQUE, -- SHA-256 of the token, in hexadecimal
    user_id      TEXT    NOT NULL REFERENCES cluster_users (user_id) ON DELETE CASCADE,
    scopes       JSONB    NOT NULL,
    service_id   TEXT,                    -- bound to this service alone
    service_name TEXT,                    -- bound to services of this name
    expires_at   TIMESTAMPTZ,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

CREATE TABLE audit_logs (
    audit_id      TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    actor         TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    before_value  JSONB,
    after_value   JSONB,
    source        TEXT    NOT NULL, -- the address that asked
    request_id    TEXT    NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX audit_logs_by_time ON audit_logs (created_at, audit_id);
CREATE INDEX audit_logs_by_resource ON audit_logs (resource_type, resource_id, created_at, audit_id);
CREATE INDEX audit_logs_by_actor ON audit_logs (actor, created_at, audit_id);
CREATE INDEX audit_logs_by_request ON audit_logs (request_id);

CREATE TABLE idempotency_keys (
    key_hash   TEXT COLLATE "C"    NOT NULL PRIMARY KEY, -- SHA-256 of caller, method, path and key
    body_hash  TEXT    NOT NULL,             -- keyed code of query and body
    status     BIGINT,                      -- absent while the first request runs
    headers    JSONB,
    body       BYTEA,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX idempotency_keys_by_time ON idempotency_keys (created_at);
