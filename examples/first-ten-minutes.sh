#!/usr/bin/env bash
# The first ten minutes with Looma, by curl alone. Start `cargo run -- dev` first; then: examples/first-ten-minutes.sh
# LOOMA_URL and LOOMA_PASSWORD_FILE name another server than the one on this machine.
set -euo pipefail
url=${LOOMA_URL:-http://127.0.0.1:7600}
file=${LOOMA_PASSWORD_FILE:-data/admin-password}
api=$url/api/v1

# What is done, as the README shows it; then what is answered.
say() { printf '\n# %s\n' "$1"; }
call() { curl -sS --fail-with-body -H "Authorization: Bearer $token" -H 'Content-Type: application/json' "$@"; echo; }

say "sign in"
token=$(curl -sS --fail-with-body "$api/auth/login" -H 'Content-Type: application/json' \
    -d "{\"username\": \"admin\", \"password\": \"$(cat "$file")\"}" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
echo "${token:0:20}…"

say "this machine is the first node"
call "$api/nodes?limit=1"

say "a service registers, beats and is found"
call "$api/services" -d '{"service_id": "ai-1", "service_name": "ai-service", "service_type": "ai-service",
    "service_url": "http://10.0.0.7:8002", "ttl_seconds": 600, "tags": {"zone": "a"}}'
call -X POST "$api/services/ai-1/heartbeat"
call "$api/discovery/ai-service?healthy=true"

say "a rule, judged by the plugin threshold; a channel, delivered by the plugin log"
call "$api/alert-rules" -d '{"rule_name": "cpu high", "service_type": "ai-service", "metric_name": "cpu_usage",
    "comparison_operator": ">", "threshold_value": 90, "severity": "critical", "interval_seconds": 1}'
call "$api/channels" -d '{"name": "log", "notifier": "log", "config": {}}'
call "$api/routes" -d '{"name": "all", "match": {}, "channels": ["log"], "group_wait_seconds": 0}'

say "a sample over the threshold"
call "$api/metrics" -d '{"samples": [{"service_id": "ai-1", "metric_name": "cpu_usage", "metric_value": 97, "metric_unit": "percent"}]}'

say "it fires"
for _ in $(seq 30); do
    alerts=$(call "$api/alerts?status=firing&service_id=ai-1")
    case $alerts in *'"status":"firing"'*) break ;; esac
    sleep 1
done
echo "$alerts"

say "and was delivered"
for _ in $(seq 30); do
    log=$(call "$api/notifications?channel=log")
    case $log in *'"status":"delivered"'*) break ;; esac
    sleep 1
done
echo "$log"
case $alerts$log in *'"status":"firing"'*'"status":"delivered"'*) ;; *) echo "it did not fire, or was not delivered" >&2; exit 1 ;; esac
