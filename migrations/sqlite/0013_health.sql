-- What the health of a service is made of, and what is held because it changes too often.
ALTER TABLE service_registry ADD COLUMN signals TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(signals));
-- Since when it has been what it is; it may be removed when it has been critical for so long (0: never, NULL: as is set).
ALTER TABLE service_registry ADD COLUMN health_since INTEGER;
ALTER TABLE service_registry ADD COLUMN deregister_after_seconds INTEGER CHECK (deregister_after_seconds BETWEEN 0 AND 2592000);

UPDATE service_registry SET health_since = updated_at,
    signals = json_object('lease', json_object('health', health_status, 'reason', health_reason));
