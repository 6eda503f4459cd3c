UPDATE alert_rules SET record = 5;
INSERT INTO evaluation_records (record_id, rule_id, recorded_at, plugin_name, version, digest, series, bytes, exchange)
    VALUES ('e', 'r', {now}, 'threshold', '1.0.0', 'd', 1, 2, NULL);
