-- What Looma tells of itself, until an operator changes it: a plugin at fault, and a registry that holds back.
INSERT INTO alert_rules (rule_id, rule_name, metric_name, severity, enabled, interval_seconds, for_seconds, keep_firing_seconds,
    evaluator, config, labels, message, created_at, updated_at)
VALUES
    ('looma-plugin-quarantined', 'a plugin is quarantined', 'plugin_quarantined', 'critical', TRUE, 5, 0, 0, 'host', '{}', '{}',
        'plugin {{ labels.plugin }} is quarantined: {{ note }}', date_trunc('milliseconds', now()), date_trunc('milliseconds', now())),
    ('looma-registry-protected', 'expiry of services is held back', 'registry_protected', 'critical', TRUE, 5, 0, 0, 'host', '{}', '{}',
        'expiry of services is held back: {{ note }}', date_trunc('milliseconds', now()), date_trunc('milliseconds', now()))
ON CONFLICT DO NOTHING;
