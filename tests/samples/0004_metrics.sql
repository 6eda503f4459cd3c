INSERT INTO metric_series (series_key, service_id, metric_name, metric_unit, tags, created_at) VALUES ('k', 'a', 'cpu', 'percent', '{}', {now});
INSERT INTO metric_points (series_id, at, value, seq) SELECT series_id, {now}, 1.5, 1 FROM metric_series;
