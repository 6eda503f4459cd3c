-- Services and nodes. A service may name a node that is not registered (yet), so there is no foreign key between them.
CREATE TABLE service_registry (
    service_id     TEXT    NOT NULL PRIMARY KEY,
    service_name   TEXT    NOT NULL,
    service_type   TEXT    NOT NULL,
    service_url    TEXT    NOT NULL,
    node_id        TEXT,
    cluster_id     TEXT,
    capabilities   TEXT    NOT NULL CHECK (json_valid(capabilities)),
    config         TEXT    NOT NULL CHECK (json_valid(config)),
    tags           TEXT    NOT NULL CHECK (json_valid(tags)),
    weight         INTEGER NOT NULL CHECK (weight BETWEEN 0 AND 10000),
    ttl_seconds    INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 0 AND 86400), -- 0: no heartbeat is expected
    health_check   TEXT    CHECK (health_check IS NULL OR json_valid(health_check)),
    status         TEXT    NOT NULL CHECK (status IN ('registered', 'active', 'inactive', 'failed')),
    health_status  TEXT    NOT NULL CHECK (health_status IN ('unknown', 'healthy', 'warning', 'critical')),
    health_reason  TEXT,
    maintenance    TEXT    NOT NULL CHECK (json_valid(maintenance)),
    origin         TEXT    NOT NULL, -- self, or source:NAME
    last_heartbeat INTEGER,          -- rises with each flush, so that a replica sees the heartbeats of another
    registered_at  INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    revision       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE cluster_nodes (
    node_id       TEXT    NOT NULL PRIMARY KEY,
    node_name     TEXT    NOT NULL,
    node_type     TEXT    NOT NULL CHECK (node_type IN ('management', 'worker', 'gateway')),
    host_address  TEXT    NOT NULL,
    port          INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    capabilities  TEXT    NOT NULL CHECK (json_valid(capabilities)),
    resources     TEXT    NOT NULL CHECK (json_valid(resources)),
    tags          TEXT    NOT NULL CHECK (json_valid(tags)),
    ttl_seconds   INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 0 AND 86400),
    status        TEXT    NOT NULL CHECK (status IN ('active', 'inactive', 'maintenance')),
    health_status TEXT    NOT NULL CHECK (health_status IN ('unknown', 'healthy', 'warning', 'critical')),
    health_reason TEXT,
    draining      INTEGER NOT NULL CHECK (draining IN (0, 1)),
    maintenance   TEXT    NOT NULL CHECK (json_valid(maintenance)),
    last_seen     INTEGER,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    revision      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
