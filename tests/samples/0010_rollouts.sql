INSERT INTO plugin_rollouts (plugin_name, policy, updated_at) VALUES ('threshold', '{}', {now});
INSERT INTO plugin_candidates (plugin_name, digest, stage, candidate) VALUES ('threshold', 'e', 'shadow', '{}');
INSERT INTO plugin_comparisons (plugin_name, digest, replica_id, report, updated_at) VALUES ('threshold', 'e', 'r', '{}', {now});
INSERT INTO plugin_history (history_id, plugin_name, action, actor, created_at) VALUES ('h', 'threshold', 'loaded', 'user:u', {now});
