"""Writes `dashboards/tuanqiao.json`: an entry of `BOARD` is a row of the board, an entry of a row a panel.

What is read from a database is said by every replica, so it is taken as a maximum and never added up;
what has happened is counted where it happened, so it is added up. `$province` is the board's choice.
A test runs every expression against a Prometheus that scrapes two replicas.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

QUEUES = '{queue=~"(orgs|members|transfers|scheduler)[.](events|commands|queries)|dead[.]events"}'
"""This installation's own queues: no queues of replies, and none of others on the same broker."""
HERE = 'province=~"$province"'
PEOPLE = 'who="people"'
DAY = 86_400


def quantile(q: float, by: str, metric: str, where: str = "", over: str = "5m") -> str:
    """Return the expression of a quantile of a histogram."""
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{{{where}}}[{over}])))"


class Panel(NamedTuple):
    """One graph.

    Attributes:
        title: In both languages.
        unit: As Grafana calls it.
        says: What it shows, and what to make of it; in both languages.
        lines: Expressions, each with its legend.
        limits: From where it is orange and red; the other way round where less is worse.

    """

    title: str
    unit: str
    says: str
    lines: tuple[tuple[str, str], ...]
    limits: tuple[float, float] | None = None


OPEN = f"max by (province, node) (tuanqiao_open_nodes{{{HERE}}})"
PACE = f"sum by (province) (rate(tuanqiao_approval_seconds_count{{{HERE}, {PEOPLE}}}[1d])) * {DAY}"

IN_TIME = (
    Panel(
        "各省待审批 · Open nodes by province",
        "short",
        "等待处理的审批节点,来自数据库的精确计数。"
        " Approval nodes that wait, exactly as the database has them.",
        ((f"sum by (province) ({OPEN})", "{{province}}"),),
    ),
    Panel(
        "各类待审批 · Open nodes by kind",
        "short",
        "转出、转入、省级、分配。 Out, in, province, assignment of a branch.",
        ((f"sum by (node) ({OPEN})", "{{node}}"),),
    ),
    Panel(
        "最久的待审批 · Oldest open node",
        "s",
        "各省等待最久的节点;国家规则为十天。"
        " The node of each province that has waited longest; the national"
        " policy gives ten days.",
        ((f"max by (province) (tuanqiao_oldest_node_seconds{{{HERE}}})", "{{province}}"),),
        (7 * DAY, 10 * DAY),
    ),
    Panel(
        "到期未处理 · Deadlines overdue",
        "s",
        "期限已过而时钟没有动作;应当为零(告警 DeadlineOverdue)。"
        " A deadline has passed and the clock has not"
        " acted; should be 0 (alert DeadlineOverdue).",
        ((f"max by (province) (tuanqiao_deadline_overdue_seconds{{{HERE}}})", "{{province}}"),),
        (60, 600),
    ),
    Panel(
        "按当前速度还需几天 · Days of work at the pace of the last day",
        "d",
        "待审批数除以过去一天由人处理的数量;365 表示无人处理。"
        " What waits over what people have decided in a"
        " day; 365 says that nobody does.",
        (
            (
                f"clamp_max((sum by (province) ({OPEN}) > 0) / ({PACE}), 365)"
                f" or (sum by (province) ({OPEN}) > 0) * 0 + 365",
                "{{province}}",
            ),
        ),
        (7, 10),
    ),
    Panel(
        "每日处理 · Decided in a day",
        "short",
        "过去一天的处理数:人(people)与期限自动处理(clock)。"
        " Decisions of the last day, by people and by the clock.",
        (
            (
                f"sum by (who) (increase(tuanqiao_approval_seconds_count{{{HERE}}}[1d]))",
                "{{who}}",
            ),
        ),
    ),
    Panel(
        "审批时效中位数 · Approval time p50, by kind",
        "s",
        "过去一天由人处理的节点。"
        " Of the nodes that people decided in the last day; what is not decided is not in"
        " it.",
        ((quantile(0.5, "node", "tuanqiao_approval_seconds", f"{HERE}, {PEOPLE}", "1d"), "{{node}}"),),
    ),
    Panel(
        "审批时效 p95 · Approval time p95, by province",
        "s",
        "过去一天由人处理的节点。 Of the nodes that people decided in the last day.",
        (
            (
                quantile(0.95, "province", "tuanqiao_approval_seconds", f"{HERE}, {PEOPLE}", "1d"),
                "{{province}}",
            ),
        ),
        (7 * DAY, 10 * DAY),
    ),
    Panel(
        "每日办结 · Ended in a day",
        "short",
        "过去一天结束的转接。 Transfers that ended in the last day.",
        (("sum by (state) (increase(tuanqiao_transfers_ended_total[1d]))", "{{state}}"),),
    ),
    Panel(
        "逾期停留 · Overstayed members",
        "short",
        "每天统计一次。 Counted once a day.",
        (("max by (clock) (tuanqiao_overstayed_members)", "{{clock}}"),),
    ),
)

STUCK = (
    Panel(
        "实例 · Instances",
        "short",
        "响应抓取的实例数(告警 ServiceDown、InstanceGone)。"
        " Instances that answer (alerts ServiceDown,"
        " InstanceGone).",
        (("sum by (job) (up)", "{{job}}"),),
    ),
    Panel(
        "数据库 · Database reached",
        "bool_yes_no",
        "任一实例连不上即为否(告警 DatabaseAway)。 No as soon as one instance does not (alert DatabaseAway).",
        (("min by (service) (tuanqiao_database_up)", "{{service}}"),),
    ),
    Panel(
        "最早未发出的事件 · Oldest event not published",
        "s",
        "平时不到一秒(告警 OutboxStuck)。 Less than a second as a rule (alert OutboxStuck).",
        (("max by (service) (tuanqiao_outbox_oldest_seconds)", "{{service}}"),),
        (30, 120),
    ),
    Panel(
        "未发出的消息 · Outbox waiting",
        "short",
        "每条最多 500 项,数到一万为止。 Messages of up to 500 items; counted up to 10,000.",
        (("max by (service) (tuanqiao_outbox_waiting)", "{{service}}"),),
    ),
    Panel(
        "队列长度 · Queue depth",
        "short",
        "本系统的队列;dead.events 应当为零(告警 DeadMessages)。"
        " This installation's queues; dead.events should be"
        " 0 (alert DeadMessages).",
        ((f"sum by (queue) (rabbitmq_detailed_queue_messages{QUEUES})", "{{queue}}"),),
    ),
    Panel(
        "消费者 · Consumers",
        "short",
        "除 dead.events 外为零即无人处理(告警 NoConsumer)。"
        " 0 says that nobody works, but for dead.events (alert"
        " NoConsumer).",
        ((f"sum by (queue) (rabbitmq_detailed_queue_consumers{QUEUES})", "{{queue}}"),),
    ),
    Panel(
        "代理水位 · Broker, share of its limits",
        "percentunit",
        "到百分之百时所有发布被阻塞(告警 BrokerAlarm)。"
        " At 100 % every publisher is blocked (alert BrokerAlarm).",
        (
            (
                "max(rabbitmq_process_resident_memory_bytes / rabbitmq_resident_memory_limit_bytes)",
                "memory",
            ),
            ("max(rabbitmq_disk_space_available_limit_bytes / rabbitmq_disk_space_available_bytes)", "disk"),
        ),
        (0.7, 0.9),
    ),
    Panel(
        "定时器迟到 · Timers late",
        "s",
        "到时未触发的最早一个(告警 TimersLate)。"
        " The oldest that is due and has not fired (alert TimersLate).",
        (("max by (service) (tuanqiao_timer_late_seconds)", "{{service}}"),),
        (60, 300),
    ),
    Panel(
        "到时未触发 · Timers due and not fired",
        "short",
        "数到一万为止。 Counted up to 10,000.",
        (("max by (service) (tuanqiao_timers_overdue)", "{{service}}"),),
    ),
    Panel(
        "触发的定时器 · Timers fired",
        "cps",
        "提醒与期限。 Reminders and deadlines.",
        (("sum by (kind) (rate(tuanqiao_timers_fired_total[5m]))", "{{kind}}"),),
    ),
    Panel(
        "死信 · Dead letters",
        "short",
        "重试失败、等待人工的条目,及代理搁置的消息(告警 DeadLetters、DeadMessages)。"
        " Items that failed for good; messages that the broker set aside (alerts DeadLetters, DeadMessages).",
        (
            ("max by (service) (tuanqiao_dead_letters)", "{{service}}"),
            ("max(tuanqiao_dead_messages)", "dead.events"),
        ),
        (1, 1),
    ),
    Panel(
        "搁置的条目 · Items set aside in an hour",
        "short",
        "处理失败、将要重试。 Items that failed and are tried again.",
        (("sum by (service) (increase(tuanqiao_messages_failed_total[1h]))", "{{service}}"),),
    ),
    Panel(
        "失败的后台循环 · Loops that fail",
        "short",
        "连续失败次数(告警 LoopFails)。 Failures in a row (alert LoopFails).",
        (("max by (service) (tuanqiao_background_failing)", "{{service}}"),),
        (1, 5),
    ),
    Panel(
        "发布失败 · Publishing that failed",
        "short",
        "五分钟内(告警 RelayFails)。 In five minutes (alert RelayFails).",
        (("sum by (service) (increase(tuanqiao_relay_failures_total[5m]))", "{{service}}"),),
        (5, 10),
    ),
)

SLOW = (
    Panel(
        "网页和接口 p95 · Pages and API p95",
        "s",
        "按地址;不含不存在的地址。 By route, without addresses that are not there.",
        ((quantile(0.95, "route", "tuanqiao_http_seconds", 'route!="none"'), "{{route}}"),),
        (0.5, 1),
    ),
    Panel(
        "应答 · Answers",
        "reqps",
        "按状态类别(告警 ErrorRate)。 By class of status (alert ErrorRate).",
        (("sum by (status) (rate(tuanqiao_http_requests_total[5m]))", "{{status}}"),),
    ),
    Panel(
        "调用 p95 · Calls p95",
        "s",
        "网关对各服务的调用。 Of the gateway to the services.",
        ((quantile(0.95, "service, call", "tuanqiao_rpc_seconds"), "{{service}}.{{call}}"),),
        (0.5, 1),
    ),
    Panel(
        "未得应答的调用 · Calls without an answer",
        "percentunit",
        "服务不可用或出错的份额。 The share that ended with unavailable or an internal error.",
        (
            (
                '(sum(rate(tuanqiao_rpc_seconds_count{outcome=~"unavailable|internal"}[5m])) or vector(0))'
                " / sum(rate(tuanqiao_rpc_seconds_count[5m]))",
                "",
            ),
        ),
        (0.001, 0.01),
    ),
    Panel(
        "事务 p95 · Transactions p95",
        "s",
        "一批消息的事务时间。 Time of one batch's transaction.",
        ((quantile(0.95, "service, kind", "tuanqiao_batch_seconds"), "{{service}} {{kind}}"),),
    ),
    Panel(
        "每事务消息数 · Messages per transaction",
        "short",
        "平均值;越忙越大。 The mean; it grows with the load.",
        (
            (
                "sum by (service, kind) (rate(tuanqiao_batch_messages_sum[5m]))"
                " / sum by (service, kind) (rate(tuanqiao_batch_messages_count[5m]))",
                "{{service}} {{kind}}",
            ),
        ),
    ),
    Panel(
        "提交到确认 p95 · Commit to confirm p95",
        "s",
        "只含已确认的;停住时看最早未发出的事件。"
        " Of what was confirmed; when it stands still look at the oldest"
        " event not published.",
        ((quantile(0.95, "service", "tuanqiao_outbox_lag_seconds"), "{{service}}"),),
        (1, 5),
    ),
)

BOARD = {"能否按时 · In time?": IN_TIME, "是否卡住 · Stuck?": STUCK, "是否缓慢 · Slow?": SLOW}

_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_PROVINCE = {
    "name": "province",
    "label": "省 · Province",
    "type": "query",
    "datasource": _SOURCE,
    "query": "label_values(tuanqiao_open_nodes, province)",
    "refresh": 2,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
}


def _limits(panel: Panel) -> dict[str, Any]:
    """Return the colours of a panel."""
    if panel.limits is None:
        return {}
    steps = [
        {"color": color, "value": value}
        for color, value in zip(("green", "orange", "red"), (None, *panel.limits), strict=True)
    ]
    return {
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": {"thresholdsStyle": {"mode": "line"}},
    }


def _graph(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "type": "timeseries",
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **_limits(panel)}, "overrides": []},
        "targets": [
            {"refId": chr(65 + at), "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(panel.lines)
        ],
    }


def _panels() -> list[dict[str, Any]]:
    """Return rows and panels, two beside each other."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, panels in BOARD.items():
        place = {"x": 0, "y": y, "w": 24, "h": 1}
        made.append({"id": len(made) + 1, "title": title, "type": "row", "gridPos": place, "panels": []})
        for at, panel in enumerate(panels):
            made.append(_graph(panel, len(made) + 1, 12 * (at % 2), y + 1 + 8 * (at // 2)))
        y += 1 + 8 * -(-len(panels) // 2)
    return made


def main() -> None:
    """Write the dashboard."""
    board = {
        "uid": "tuanqiao",
        "title": "Tuanqiao 团桥",
        "schemaVersion": 39,
        "timezone": "Asia/Shanghai",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["tuanqiao"],
        "templating": {"list": [_PROVINCE]},
        "panels": _panels(),
    }
    (Path(__file__).parent / "dashboards" / "tuanqiao.json").write_text(
        json.dumps(board, ensure_ascii=False, indent=1) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
