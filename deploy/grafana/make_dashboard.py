"""Writes `dashboards/tuanqiao.json`: one row of the table below is one panel."""

import json
from pathlib import Path

QUANTILE = "histogram_quantile({q}, sum by (le{by}) (rate({metric}_bucket[5m])))"
PANELS = [
    # title, unit, expressions with their legends
    (
        "Open nodes by province 各省待审批",
        "short",
        [("sum by (province, node) (tuanqiao_open_nodes)", "{{province}} {{node}}")],
    ),
    (
        "Approval latency by node 审批时效 p50",
        "s",
        [(QUANTILE.format(q=0.5, by=", node", metric="tuanqiao_approval_seconds"), "{{node}}")],
    ),
    (
        "Approval latency by province 各省审批时效 p95",
        "s",
        [(QUANTILE.format(q=0.95, by=", province", metric="tuanqiao_approval_seconds"), "{{province}}")],
    ),
    (
        "Ended transfers 办结",
        "cps",
        [("sum by (state) (rate(tuanqiao_transfers_ended_total[5m]))", "{{state}}")],
    ),
    (
        "Outbox lag p95",
        "s",
        [(QUANTILE.format(q=0.95, by=", service", metric="tuanqiao_outbox_lag_seconds"), "{{service}}")],
    ),
    ("Outbox waiting", "short", [("max by (service) (tuanqiao_outbox_waiting)", "{{service}}")]),
    (
        "Messages per transaction p50",
        "short",
        [
            (
                QUANTILE.format(q=0.5, by=", service, kind", metric="tuanqiao_batch_messages"),
                "{{service}} {{kind}}",
            )
        ],
    ),
    (
        "Transaction time p95",
        "s",
        [
            (
                QUANTILE.format(q=0.95, by=", service, kind", metric="tuanqiao_batch_seconds"),
                "{{service}} {{kind}}",
            )
        ],
    ),
    ("Dead letters 死信", "short", [("max by (service) (tuanqiao_dead_letters)", "{{service}}")]),
    (
        "Items set aside",
        "cps",
        [("sum by (service, topic) (rate(tuanqiao_messages_failed_total[5m]))", "{{service}} {{topic}}")],
    ),
    (
        "Calls p95",
        "s",
        [
            (
                QUANTILE.format(q=0.95, by=", service, call", metric="tuanqiao_rpc_seconds"),
                "{{service}}.{{call}}",
            )
        ],
    ),
    (
        "Pages and API p95",
        "s",
        [(QUANTILE.format(q=0.95, by=", route", metric="tuanqiao_http_seconds"), "{{route}}")],
    ),
    ("Timers fired 定时", "cps", [("sum by (kind) (rate(tuanqiao_timers_fired_total[5m]))", "{{kind}}")]),
    ("Queue depth", "short", [("sum by (queue) (rabbitmq_detailed_queue_messages)", "{{queue}}")]),
]


def main() -> None:
    """Write the dashboard."""
    panels = [
        {
            "id": number + 1,
            "title": title,
            "type": "timeseries",
            "datasource": {"type": "prometheus", "uid": "prometheus"},
            "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + at), "expr": expression, "legendFormat": legend}
                for at, (expression, legend) in enumerate(expressions)
            ],
        }
        for number, (title, unit, expressions) in enumerate(PANELS)
    ]
    board = {
        "uid": "tuanqiao",
        "title": "Tuanqiao 团桥",
        "schemaVersion": 39,
        "timezone": "Asia/Shanghai",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["tuanqiao"],
        "panels": panels,
    }
    (Path(__file__).parent / "dashboards" / "tuanqiao.json").write_text(
        json.dumps(board, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
