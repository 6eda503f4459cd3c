UPDATE service_registry SET deregister_after_seconds = 3600, health_status = 'critical', health_reason = 'silent', health_since = {now},
    signals = '{"lease": {"health": "critical", "reason": "silent"}, "check": {"health": "unknown", "reason": null}, "changed": [], "held": null}';
