INSERT INTO alert_rules (rule_id, rule_name, metric_name, comparison_operator, threshold_value, severity, enabled, interval_seconds,
    for_seconds, keep_firing_seconds, evaluator, config, labels, message, created_at, updated_at)
    VALUES ('r', 'rule', 'cpu', '>', 90.0, 'critical', TRUE, 10, 0, 0, 'threshold', '{}', '{}', 'm', {now}, {now});
INSERT INTO alert_records (id, rule_id, rule_name, series, service_id, service_name, service_type, metric_name, alert_level, status,
    message, labels, resolved, plugin, created_at, updated_at)
    VALUES ('l', 'r', 'rule', 1, 'a', 'name', 'type', 'cpu', 'critical', 'firing', 'm', '{}', FALSE, '{}', {now}, {now});
INSERT INTO channels (channel_id, name, notifier, config, enabled, created_at, updated_at) VALUES ('c', 'c', 'log', '{}', TRUE, {now}, {now});
