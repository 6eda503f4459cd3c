-- How new versions of a plugin come into service; without a row, at once.
CREATE TABLE plugin_rollouts (
    plugin_name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    policy      JSONB NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL
);

-- The version of a plugin that is on its way into service, is watched since, or came to nothing: the latest alone.
CREATE TABLE plugin_candidates (
    plugin_name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest      TEXT COLLATE "C" NOT NULL,
    stage       TEXT NOT NULL CHECK (stage IN ('shadow', 'canary', 'guard', 'done', 'aborted', 'rolled-back', 'refused')),
    candidate   JSONB NOT NULL
);

-- What each replica has seen of it beside the version that serves.
CREATE TABLE plugin_comparisons (
    plugin_name TEXT COLLATE "C" NOT NULL,
    digest      TEXT COLLATE "C" NOT NULL,
    replica_id  TEXT COLLATE "C" NOT NULL,
    report      JSONB NOT NULL,
    updated_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (plugin_name, digest, replica_id)
);

-- What became of a plugin's versions: who, when, what, why.
CREATE TABLE plugin_history (
    history_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    plugin_name  TEXT COLLATE "C" NOT NULL,
    action       TEXT NOT NULL,
    reason       TEXT,
    actor        TEXT NOT NULL,
    from_version TEXT,
    from_digest  TEXT,
    to_version   TEXT,
    to_digest    TEXT,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX plugin_history_by_plugin ON plugin_history (plugin_name, history_id);

-- Each version of an evaluator has a memory of its own, so that going back finds the one that was left.
ALTER TABLE alert_states ADD COLUMN writer TEXT COLLATE "C" NOT NULL DEFAULT ''; -- digest of the version that wrote it; empty: not known
ALTER TABLE alert_states ALTER COLUMN writer DROP DEFAULT;
ALTER TABLE alert_states DROP CONSTRAINT alert_states_pkey;
ALTER TABLE alert_states ADD PRIMARY KEY (rule_id, series, writer);
