-- What plugins name and never see. The value is sealed under a key that is not in the database.
CREATE TABLE secrets (
    secret_name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL CHECK (version > 0),
    sealed      TEXT    NOT NULL, -- nonce, ciphertext and tag, in base64
    key_id      TEXT    NOT NULL, -- tells which key it is sealed under, and nothing else of it
    updated_by  TEXT    NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- The signature that came beside a component; one that is inside of it needs no place of its own.
ALTER TABLE plugin_versions ADD COLUMN signature TEXT;
