INSERT INTO service_registry (service_id, service_name, service_type, service_url, capabilities, config, tags, weight, ttl_seconds,
    status, health_status, maintenance, origin, last_heartbeat, registered_at, updated_at, revision)
    VALUES ('a', 'name', 'type', 'http://a', '{}', '{}', '{"zone": "a"}', 100, 15, 'active', 'healthy', '{"enabled": false}', 'self',
    {now}, {now}, {now}, 1);
INSERT INTO cluster_nodes (node_id, node_name, node_type, host_address, port, capabilities, resources, tags, ttl_seconds, status,
    health_status, draining, maintenance, created_at, updated_at, revision)
    VALUES ('n', 'n', 'worker', '10.0.0.1', 80, '{}', '{}', '{}', 30, 'active', 'healthy', FALSE, '{"enabled": false}', {now}, {now}, 1);
