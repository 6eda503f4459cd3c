-- Rules. A deleted one stays, so that the alerts that came of it keep what they refer to.
CREATE TABLE alert_rules (
    rule_id             TEXT    NOT NULL PRIMARY KEY,
    rule_name           TEXT    NOT NULL,
    service_type        TEXT,
    metric_name         TEXT    NOT NULL,
    comparison_operator TEXT    CHECK (comparison_operator IN ('>', '<', '>=', '<=', '==', '!=')),
    threshold_value     REAL,
    severity            TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled             INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    interval_seconds    INTEGER NOT NULL CHECK (interval_seconds BETWEEN 1 AND 86400),
    for_seconds         INTEGER NOT NULL CHECK (for_seconds >= 0),
    keep_firing_seconds INTEGER NOT NULL CHECK (keep_firing_seconds >= 0),
    evaluator           TEXT    NOT NULL,
    config              TEXT    NOT NULL CHECK (json_valid(config)),
    labels              TEXT    NOT NULL CHECK (json_valid(labels)),
    message             TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    updated_at          INTEGER NOT NULL,
    deleted_at          INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX alert_rules_by_name ON alert_rules (rule_name) WHERE deleted_at IS NULL;

-- How the last evaluation of a rule went; apart from the rule, which changes only when somebody changes it.
CREATE TABLE alert_rule_health (
    rule_id           TEXT    NOT NULL PRIMARY KEY REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    last_evaluated_at INTEGER NOT NULL,
    last_error        TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_records (
    id                TEXT    NOT NULL PRIMARY KEY,
    rule_id           TEXT    NOT NULL REFERENCES alert_rules (rule_id),
    rule_name         TEXT    NOT NULL,
    series            INTEGER NOT NULL, -- the number of the series
    service_id        TEXT    NOT NULL,
    service_name      TEXT    NOT NULL,
    service_type      TEXT    NOT NULL,
    metric_name       TEXT    NOT NULL,
    alert_level       TEXT    NOT NULL CHECK (alert_level IN ('info', 'warning', 'critical')),
    status            TEXT    NOT NULL CHECK (status IN ('pending', 'firing', 'resolved')),
    message           TEXT    NOT NULL,
    value             REAL,
    labels            TEXT    NOT NULL CHECK (json_valid(labels)),
    fired_at          INTEGER,
    clear_since       INTEGER, -- since when it is normal again, while it is kept firing
    resolved          INTEGER NOT NULL CHECK (resolved IN (0, 1)),
    resolved_at       INTEGER,
    resolve_reason    TEXT,
    acknowledged_by   TEXT,
    acknowledged_at   INTEGER,
    plugin            TEXT    NOT NULL CHECK (json_valid(plugin)),
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX alert_records_open ON alert_records (rule_id, series) WHERE status <> 'resolved';
CREATE INDEX alert_records_by_rule ON alert_records (rule_id, id);
CREATE INDEX alert_records_by_service ON alert_records (service_id, id);
CREATE INDEX alert_records_by_status ON alert_records (status, id);

-- What an evaluator remembers of a series from one evaluation to the next.
CREATE TABLE alert_states (
    rule_id    TEXT    NOT NULL REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    series     INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    state      BLOB    NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (rule_id, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE channels (
    channel_id TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    notifier   TEXT    NOT NULL,
    config     TEXT    NOT NULL CHECK (json_valid(config)), -- names secrets, holds none
    enabled    INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE routes (
    route_id                TEXT    NOT NULL PRIMARY KEY,
    name                    TEXT    NOT NULL UNIQUE,
    matchers                TEXT    NOT NULL CHECK (json_valid(matchers)),
    channels                TEXT    NOT NULL CHECK (json_valid(channels)),
    group_by                TEXT    NOT NULL CHECK (json_valid(group_by)),
    group_wait_seconds      INTEGER NOT NULL CHECK (group_wait_seconds >= 0),
    group_interval_seconds  INTEGER NOT NULL CHECK (group_interval_seconds >= 1),
    repeat_interval_seconds INTEGER NOT NULL CHECK (repeat_interval_seconds >= 1),
    continues               INTEGER NOT NULL CHECK (continues IN (0, 1)),
    position                INTEGER NOT NULL,
    created_at              INTEGER NOT NULL,
    updated_at              INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE silences (
    silence_id TEXT    NOT NULL PRIMARY KEY,
    matchers   TEXT    NOT NULL CHECK (json_valid(matchers)),
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    comment    TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Alerts that are told together, by one route.
CREATE TABLE notification_groups (
    group_id     TEXT    NOT NULL PRIMARY KEY, -- the route, and a hash of the labels
    route_id     TEXT    NOT NULL REFERENCES routes (route_id) ON DELETE CASCADE,
    labels       TEXT    NOT NULL CHECK (json_valid(labels)),
    next_at      INTEGER NOT NULL,             -- when it is looked at again
    not_before   INTEGER,                      -- end of the pause after what was told last; absent: nothing was told
    last_sent_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_groups_due ON notification_groups (next_at);
CREATE INDEX notification_groups_by_route ON notification_groups (route_id);

CREATE TABLE notification_members (
    group_id TEXT    NOT NULL REFERENCES notification_groups (group_id) ON DELETE CASCADE,
    alert_id TEXT    NOT NULL,
    status   TEXT    NOT NULL CHECK (status IN ('firing', 'resolved')),
    told     INTEGER NOT NULL CHECK (told IN (0, 1)), -- whether the channels know that it fires
    changed  INTEGER NOT NULL CHECK (changed IN (0, 1)), -- since they were told
    quiet    INTEGER NOT NULL CHECK (quiet IN (0, 1)), -- acknowledged: not repeated
    alert    TEXT    NOT NULL CHECK (json_valid(alert)),
    PRIMARY KEY (group_id, alert_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_members_by_alert ON notification_members (alert_id);

-- The outbox and the delivery log in one: a row is one notification on its way through one channel.
CREATE TABLE notifications (
    id              TEXT    NOT NULL PRIMARY KEY,
    channel_id      TEXT,                      -- absent when no route wanted the alert
    channel         TEXT,
    route           TEXT,
    group_id        TEXT,                      -- notifications of one group go through a channel in order
    status          TEXT    NOT NULL CHECK (status IN ('queued', 'delivered', 'failed', 'skipped', 'unrouted')),
    alert_status    TEXT    NOT NULL CHECK (alert_status IN ('firing', 'resolved')),
    title           TEXT    NOT NULL,
    group_labels    TEXT    NOT NULL CHECK (json_valid(group_labels)),
    alerts          TEXT    NOT NULL CHECK (json_valid(alerts)),
    attempt         INTEGER NOT NULL,
    next_attempt_at INTEGER,                   -- while queued; while an attempt is under way, when its claim ends
    claimed_by      TEXT,
    last_error      TEXT,
    receipt         TEXT    CHECK (receipt IS NULL OR json_valid(receipt)),
    plugin          TEXT    CHECK (plugin IS NULL OR json_valid(plugin)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    delivered_at    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX notifications_due ON notifications (next_attempt_at) WHERE status = 'queued';
CREATE INDEX notifications_in_order ON notifications (channel_id, group_id) WHERE status = 'queued';
CREATE INDEX notifications_by_channel ON notifications (channel, id);
CREATE INDEX notifications_by_status ON notifications (status, id);

CREATE TABLE notification_alerts (
    alert_id        TEXT    NOT NULL,
    notification_id TEXT    NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (alert_id, notification_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_alerts_by_notification ON notification_alerts (notification_id);
