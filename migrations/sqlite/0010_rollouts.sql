-- How new versions of a plugin come into service; without a row, at once.
CREATE TABLE plugin_rollouts (
    plugin_name TEXT    NOT NULL PRIMARY KEY,
    policy      TEXT    NOT NULL CHECK (json_valid(policy)),
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The version of a plugin that is on its way into service, is watched since, or came to nothing: the latest alone.
CREATE TABLE plugin_candidates (
    plugin_name TEXT NOT NULL PRIMARY KEY,
    digest      TEXT NOT NULL,
    stage       TEXT NOT NULL CHECK (stage IN ('shadow', 'canary', 'guard', 'done', 'aborted', 'rolled-back', 'refused')),
    candidate   TEXT NOT NULL CHECK (json_valid(candidate))
) STRICT, WITHOUT ROWID;

-- What each replica has seen of it beside the version that serves.
CREATE TABLE plugin_comparisons (
    plugin_name TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    replica_id  TEXT    NOT NULL,
    report      TEXT    NOT NULL CHECK (json_valid(report)),
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (plugin_name, digest, replica_id)
) STRICT, WITHOUT ROWID;

-- What became of a plugin's versions: who, when, what, why.
CREATE TABLE plugin_history (
    history_id   TEXT    NOT NULL PRIMARY KEY,
    plugin_name  TEXT    NOT NULL,
    action       TEXT    NOT NULL,
    reason       TEXT,
    actor        TEXT    NOT NULL,
    from_version TEXT,
    from_digest  TEXT,
    to_version   TEXT,
    to_digest    TEXT,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_history_by_plugin ON plugin_history (plugin_name, history_id);

-- Each version of an evaluator has a memory of its own, so that going back finds the one that was left.
CREATE TABLE alert_states_by_writer (
    rule_id    TEXT    NOT NULL REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    series     INTEGER NOT NULL,
    writer     TEXT    NOT NULL, -- digest of the version that wrote it; empty: not known
    version    INTEGER NOT NULL,
    state      BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (rule_id, series, writer)
) STRICT, WITHOUT ROWID;
INSERT INTO alert_states_by_writer (rule_id, series, writer, version, state, updated_at)
    SELECT rule_id, series, '', version, state, updated_at FROM alert_states;
DROP TABLE alert_states;
ALTER TABLE alert_states_by_writer RENAME TO alert_states;
