INSERT INTO secrets (secret_name, version, sealed, key_id, updated_by, created_at, updated_at)
    VALUES ('hook-token', 2, 'c2VhbGVk', '00112233aabbccdd', 'user:u', {now}, {now});
