-- How many of the latest calls to its evaluator a rule keeps.
ALTER TABLE alert_rules ADD COLUMN record INTEGER NOT NULL DEFAULT 0 CHECK (record BETWEEN 0 AND 1000);

-- What evaluators were given and what they said, so that another version can be run on the same.
CREATE TABLE evaluation_records (
    record_id   TEXT    NOT NULL PRIMARY KEY,
    rule_id     TEXT    NOT NULL REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    recorded_at INTEGER NOT NULL,
    plugin_name TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    series      INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    error       TEXT,
    skipped     TEXT, -- why nothing is kept of the call
    exchange    BLOB  -- JSON
) STRICT;
CREATE INDEX evaluation_records_by_rule ON evaluation_records (rule_id, record_id);
