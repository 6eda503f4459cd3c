-- Where services are found: a discovery plugin with a configuration, and what came of its last run.
CREATE TABLE discovery_sources (
    source_id         TEXT    NOT NULL PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE,
    strategy          TEXT    NOT NULL, -- the plugin
    config            TEXT    NOT NULL CHECK (json_valid(config)),
    interval_seconds  INTEGER NOT NULL CHECK (interval_seconds >= 1),
    enabled           INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    max_removed_share REAL    NOT NULL CHECK (max_removed_share >= 0 AND max_removed_share <= 1),
    last_run_at       INTEGER,
    last_outcome      TEXT    CHECK (last_outcome IS NULL OR json_valid(last_outcome)),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
