-- Services and nodes. A service may name a node that is not registered (yet), so there is no foreign key between them.
-- Heartbeats update rows each second: room for them on the page, and no index on what changes.
CREATE TABLE service_registry (
    service_id     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    service_name   TEXT        NOT NULL,
    service_type   TEXT        NOT NULL,
    service_url    TEXT        NOT NULL,
    node_id        TEXT,
    cluster_id     TEXT,
    capabilities   JSONB       NOT NULL,
    config         JSONB       NOT NULL,
    tags           JSONB       NOT NULL,
    weight         BIGINT      NOT NULL CHECK (weight BETWEEN 0 AND 10000),
    ttl_seconds    BIGINT      NOT NULL CHECK (ttl_seconds BETWEEN 0 AND 86400), -- 0: no heartbeat is expected
    health_check   JSONB,
    status         TEXT        NOT NULL CHECK (status IN ('registered', 'active', 'inactive', 'failed')),
    health_status  TEXT        NOT NULL CHECK (health_status IN ('unknown', 'healthy', 'warning', 'critical')),
    health_reason  TEXT,
    maintenance    JSONB       NOT NULL,
    origin         TEXT        NOT NULL, -- self, or source:NAME
    last_heartbeat TIMESTAMPTZ,          -- rises with each flush, so that a replica sees the heartbeats of another
    registered_at  TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL,
    revision       BIGINT      NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE cluster_nodes (
    node_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    node_name     TEXT        NOT NULL,
    node_type     TEXT        NOT NULL CHECK (node_type IN ('management', 'worker', 'gateway')),
    host_address  TEXT        NOT NULL,
    port          BIGINT      NOT NULL CHECK (port BETWEEN 1 AND 65535),
    capabilities  JSONB       NOT NULL,
    resources     JSONB       NOT NULL,
    tags          JSONB       NOT NULL,
    ttl_seconds   BIGINT      NOT NULL CHECK (ttl_seconds BETWEEN 0 AND 86400),
    status        TEXT        NOT NULL CHECK (status IN ('active', 'inactive', 'maintenance')),
    health_status TEXT        NOT NULL CHECK (health_status IN ('unknown', 'healthy', 'warning', 'critical')),
    health_reason TEXT,
    draining      BOOLEAN     NOT NULL,
    maintenance   JSONB       NOT NULL,
    last_seen     TIMESTAMPTZ,
    created_at    TIMESTAMPTZ NOT NULL,
    updated_at    TIMESTAMPTZ NOT NULL,
    revision      BIGINT      NOT NULL
) WITH (fillfactor = 50);
