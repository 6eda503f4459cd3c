INSERT INTO discovery_sources (source_id, name, strategy, config, interval_seconds, enabled, max_removed_share, created_at, updated_at)
    VALUES ('d', 'rack', 'port-scan', '{}', 30, TRUE, 0.5, {now}, {now});
