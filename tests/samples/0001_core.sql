INSERT INTO changes (revision, replica_id, topic, op, key, value, at) VALUES (1, 'r', 'services', 'put', 'a', '{"a": 1}', {now});
UPDATE feed_head SET revision = 1;
INSERT INTO cluster_users (user_id, username, email, password_hash, role, permissions, status, last_login, created_at, updated_at)
    VALUES ('u', 'ann', 'ann@example.com', '$argon2id$', 'admin', '["a"]', 'active', {now}, {now}, {now});
INSERT INTO user_sessions (session_id, user_id, session_token, generation, source, expires_at, created_at, updated_at)
    VALUES ('s', 'u', 'hash', 1, '127.0.0.1', {now}, {now}, {now});
INSERT INTO audit_logs (audit_id, actor, action, resource_type, resource_id, before_value, after_value, source, request_id, created_at)
    VALUES ('a', 'user:u', 'create', 'services', 'a', NULL, '{}', '127.0.0.1', 'q', {now});
