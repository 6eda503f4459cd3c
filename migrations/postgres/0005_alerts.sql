-- Rules. A deleted one stays, so that the alerts that came of it keep what they refer to.
CREATE TABLE alert_rules (
    rule_id             TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    rule_name           TEXT    NOT NULL,
    service_type        TEXT,
    metric_name         TEXT    NOT NULL,
    comparison_operator TEXT    CHECK (comparison_operator IN ('>', '<', '>=', '<=', '==', '!=')),
    threshold_value     DOUBLE PRECISION,
    severity            TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled             BOOLEAN NOT NULL,
    interval_seconds    BIGINT NOT NULL CHECK (interval_seconds BETWEEN 1 AND 86400),
    for_seconds         BIGINT NOT NULL CHECK (for_seconds >= 0),
    keep_firing_seconds BIGINT NOT NULL CHECK (keep_firing_seconds >= 0),
    evaluator           TEXT    NOT NULL,
    config              JSONB    NOT NULL,
    labels              JSONB    NOT NULL,
    message             TEXT    NOT NULL,
    created_at          TIMESTAMPTZ NOT NULL,
    updated_at          TIMESTAMPTZ NOT NULL,
    deleted_at          TIMESTAMPTZ
);
CREATE UNIQUE INDEX alert_rules_by_name ON alert_rules (rule_name) WHERE deleted_at IS NULL;

-- How the last evaluation of a rule went; apart from the rule, which changes only when somebody changes it.
CREATE TABLE alert_rule_health (
    rule_id           TEXT COLLATE "C"    NOT NULL PRIMARY KEY REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    last_evaluated_at TIMESTAMPTZ NOT NULL,
    last_error        TEXT
);

CREATE TABLE alert_records (
    id                TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    rule_id           TEXT    NOT NULL REFERENCES alert_rules (rule_id),
    rule_name         TEXT    NOT NULL,
    series            BIGINT  NOT NULL, -- the number of the series
    service_id        TEXT    NOT NULL,
    service_name      TEXT    NOT NULL,
    service_type      TEXT    NOT NULL,
    metric_name       TEXT    NOT NULL,
    alert_level       TEXT    NOT NULL CHECK (alert_level IN ('info', 'warning', 'critical')),
    status            TEXT    NOT NULL CHECK (status IN ('pending', 'firing', 'resolved')),
    message           TEXT    NOT NULL,
    value             DOUBLE PRECISION,
    labels            JSONB    NOT NULL,
    fired_at          TIMESTAMPTZ,
    clear_since       TIMESTAMPTZ, -- since when it is normal again, while it is kept firing
    resolved          BOOLEAN NOT NULL,
    resolved_at       TIMESTAMPTZ,
    resolve_reason    TEXT,
    acknowledged_by   TEXT,
    acknowledged_at   TIMESTAMPTZ,
    plugin            JSONB    NOT NULL,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX alert_records_open ON alert_records (rule_id, series) WHERE status <> 'resolved';
CREATE INDEX alert_records_by_rule ON alert_records (rule_id, id);
CREATE INDEX alert_records_by_service ON alert_records (service_id, id);
CREATE INDEX alert_records_by_status ON alert_records (status, id);

-- What an evaluator remembers of a series from one evaluation to the next.
CREATE TABLE alert_states (
    rule_id    TEXT    NOT NULL REFERENCES alert_rules (rule_id) ON DELETE CASCADE,
    series     BIGINT  NOT NULL,
    version    BIGINT NOT NULL,
    state      BYTEA    NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (rule_id, series)
);

CREATE TABLE channels (
    channel_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    notifier   TEXT    NOT NULL,
    config     JSONB    NOT NULL, -- names secrets, holds none
    enabled    BOOLEAN NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE routes (
    route_id                TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    name                    TEXT    NOT NULL UNIQUE,
    matchers                JSONB    NOT NULL,
    channels                JSONB    NOT NULL,
    group_by                JSONB    NOT NULL,
    group_wait_seconds      BIGINT NOT NULL CHECK (group_wait_seconds >= 0),
    group_interval_seconds  BIGINT NOT NULL CHECK (group_interval_seconds >= 1),
    repeat_interval_seconds BIGINT NOT NULL CHECK (repeat_interval_seconds >= 1),
    continues               BOOLEAN NOT NULL,
    position                BIGINT NOT NULL,
    created_at              TIMESTAMPTZ NOT NULL,
    updated_at              TIMESTAMPTZ NOT NULL
);

CREATE TABLE silences (
    silence_id TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    matchers   JSONB    NOT NULL,
    starts_at  TIMESTAMPTZ NOT NULL,
    ends_at    TIMESTAMPTZ NOT NULL,
    comment    TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

-- Alerts that are told together, by one route.
CREATE TABLE notification_groups (
    group_id     TEXT COLLATE "C"    NOT NULL PRIMARY KEY, -- the route, and a hash of the labels
    route_id     TEXT    NOT NULL REFERENCES routes (route_id) ON DELETE CASCADE,
    labels       JSONB    NOT NULL,
    next_at      TIMESTAMPTZ NOT NULL,             -- when it is looked at again
    not_before   TIMESTAMPTZ,                      -- end of the pause after what was told last; absent: nothing was told
    last_sent_at TIMESTAMPTZ,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX notification_groups_due ON notification_groups (next_at);
CREATE INDEX notification_groups_by_route ON notification_groups (route_id);

CREATE TABLE notification_members (
    group_id TEXT    NOT NULL REFERENCES notification_groups (group_id) ON DELETE CASCADE,
    alert_id TEXT    NOT NULL,
    status   TEXT    NOT NULL CHECK (status IN ('firing', 'resolved')),
    told     BOOLEAN NOT NULL, -- whether the channels know that it fires
    changed  BOOLEAN NOT NULL, -- since they were told
    quiet    BOOLEAN NOT NULL, -- acknowledged: not repeated
    alert    JSONB    NOT NULL,
    PRIMARY KEY (group_id, alert_id)
);
CREATE INDEX notification_members_by_alert ON notification_members (alert_id);

-- The outbox and the delivery log in one: a row is one notification on its way through one channel.
CREATE TABLE notifications (
    id              TEXT COLLATE "C"    NOT NULL PRIMARY KEY,
    channel_id      TEXT,                      -- absent when no route wanted the alert
    channel         TEXT,
    route           TEXT,
    group_id        TEXT,                      -- notifications of one group go through a channel in order
    status          TEXT    NOT NULL CHECK (status IN ('queued', 'delivered', 'failed', 'skipped', 'unrouted')),
    alert_status    TEXT    NOT NULL CHECK (alert_status IN ('firing', 'resolved')),
    title           TEXT    NOT NULL,
    group_labels    JSONB    NOT NULL,
    alerts          JSONB    NOT NULL,
    attempt         BIGINT NOT NULL,
    next_attempt_at TIMESTAMPTZ,                   -- while queued; while an attempt is under way, when its claim ends
    claimed_by      TEXT,
    last_error      TEXT,
    receipt         JSONB,
    plugin          JSONB,
    created_at      TIMESTAMPTZ NOT NULL,
    updated_at      TIMESTAMPTZ NOT NULL,
    delivered_at    TIMESTAMPTZ
);
CREATE INDEX notifications_due ON notifications (next_attempt_at) WHERE status = 'queued';
CREATE INDEX notifications_in_order ON notifications (channel_id, group_id) WHERE status = 'queued';
CREATE INDEX notifications_by_channel ON notifications (channel, id);
CREATE INDEX notifications_by_status ON notifications (status, id);

CREATE TABLE notification_alerts (
    alert_id        TEXT    NOT NULL,
    notification_id TEXT    NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
    PRIMARY KEY (alert_id, notification_id)
);
CREATE INDEX notification_alerts_by_notification ON notification_alerts (notification_id);
