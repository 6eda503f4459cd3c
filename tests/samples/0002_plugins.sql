INSERT INTO plugins (plugin_name, serving, enabled, updated_at) VALUES ('threshold', 'd', TRUE, {now});
INSERT INTO plugin_versions (plugin_name, digest, version, kind, source, loaded_at)
    VALUES ('threshold', 'd', '1.0.0', 'alert-evaluator', 'folder', {now});
INSERT INTO plugin_grants (plugin_name, revision, grants, actor, created_at) VALUES ('webhook', 1, '{"http": []}', 'user:u', {now});
