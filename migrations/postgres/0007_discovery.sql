-- Where services are found: a discovery plugin with a configuration, and what came of its last run.
CREATE TABLE discovery_sources (
    source_id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE,
    strategy          TEXT    NOT NULL, -- the plugin
    config            JSONB   NOT NULL,
    interval_seconds  BIGINT  NOT NULL CHECK (interval_seconds >= 1),
    enabled           BOOLEAN NOT NULL,
    max_removed_share DOUBLE PRECISION NOT NULL CHECK (max_removed_share >= 0 AND max_removed_share <= 1),
    last_run_at       TIMESTAMPTZ,
    last_outcome      JSONB,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL
);
