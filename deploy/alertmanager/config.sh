#!/bin/sh
# Prints Alertmanager's configuration. Who is told stands in the environment (docs/runbooks.md):
#   ALERT_WEBHOOK_URL     gets every alert as JSON
#   ALERT_EMAIL_TO        gets every alert by e-mail; with ALERT_SMTP=host:port, ALERT_EMAIL_FROM, ALERT_SMTP_USER, ALERT_SMTP_PASSWORD
#   ALERT_HEARTBEAT_URL   is called every minute for as long as the watch works, and raises the alarm when it is not
set -eu
quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/''/g")"; }

if [ -z "${ALERT_WEBHOOK_URL:-}${ALERT_EMAIL_TO:-}" ]; then
    echo "alertmanager: neither ALERT_WEBHOOK_URL nor ALERT_EMAIL_TO is set, so nobody is told of an alert" >&2
fi
cat <<CONFIG
route:
  receiver: people
  group_by: [alertname]
  group_wait: 15s
  group_interval: 2m
  repeat_interval: 4h
  routes:
    - matchers: ['alertname = "Watchdog"']
      receiver: heartbeat
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 1m
    - matchers: ['severity = "warn"']
      receiver: people
      repeat_interval: 24h
inhibit_rules:
  - source_matchers: ['alertname = "ServiceDown"']
    target_matchers: ['alertname = "InstanceGone"']
    equal: [job]
  - source_matchers: ['alertname = "DatabaseAway"']
    target_matchers: ['alertname = "LoopFails"']
    equal: [service]
receivers:
  - name: heartbeat
CONFIG
if [ -n "${ALERT_HEARTBEAT_URL:-}" ]; then
    printf '    webhook_configs:\n      - {url: %s, send_resolved: false}\n' "$(quoted "$ALERT_HEARTBEAT_URL")"
fi
echo "  - name: people"
if [ -n "${ALERT_WEBHOOK_URL:-}" ]; then
    printf '    webhook_configs:\n      - url: %s\n' "$(quoted "$ALERT_WEBHOOK_URL")"
fi
if [ -n "${ALERT_EMAIL_TO:-}" ]; then
    printf '    email_configs:\n      - to: %s\n        from: %s\n        smarthost: %s\n        send_resolved: true\n' \
        "$(quoted "$ALERT_EMAIL_TO")" "$(quoted "${ALERT_EMAIL_FROM:-$ALERT_EMAIL_TO}")" "$(quoted "${ALERT_SMTP:-localhost:25}")"
    if [ -n "${ALERT_SMTP_USER:-}" ]; then
        printf '        auth_username: %s\n        auth_password: %s\n' "$(quoted "$ALERT_SMTP_USER")" "$(quoted "${ALERT_SMTP_PASSWORD:-}")"
    fi
fi
