INSERT INTO talents (talent_id, name, status, is_deleted, created_at, updated_at) VALUES ('t', 'Ann', 'active', FALSE, {now}, {now});
INSERT INTO skills (skill_id, name, name_key, is_deleted, created_at, updated_at) VALUES ('k', 'Rust', 'rust', FALSE, {now}, {now});
INSERT INTO talent_skill_association (talent_id, skill_id, level, endorsements, created_at, updated_at) VALUES ('t', 'k', 5, 0, {now}, {now});
