"""What a season prints and plots: the same figures of one policy, or of several side by side."""

from __future__ import annotations

import base64
import html
from datetime import date
from pathlib import Path
from typing import Any

STATES = (
    "completed",
    "rejected",
    "returned",
    "withdrawn",
    "refused",
    "pending_out",
    "pending_in",
    "pending_province",
    "pending_assign",
)
FLOWS = (
    ("requested", "started", "#4477aa"),
    ("moved", "completed", "#228833"),
    ("reject", "rejected", "#ee6677"),
    ("clock_return", "returned by the clock", "#ccbb44"),
    ("clock_approve", "approved by the clock", "#aa3377"),
    ("withdraw", "withdrawn", "#bbbbbb"),
)
AGES = ("<3", "<7", "<10", "<15", "<30", ">=30", "assign")
COLOURS = ("#d9f0d3", "#a6dba0", "#5aae61", "#fdae61", "#f46d43", "#a50026", "#74add1")


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f} %"


def text(results: list[dict[str, Any]]) -> str:
    """Return the tables as plain text."""
    lines = [""]
    width = max(18, *(len(result["policy"]) + 5 for result in results))
    head = f"{'':<34}" + "".join(f"{result['policy']:>{width}}" for result in results)

    def row(label: str, values: list[Any]) -> None:
        lines.append(f"{label:<34}" + "".join(f"{value!s:>{width}}" for value in values))

    lines.append(head)
    row("graduates", [result["graduates"] for result in results])
    for state in STATES:
        if any(result["ends"].get(state) for result in results):
            row(f"transfers {state}", [result["ends"].get(state, 0) for result in results])
    for event, label, _ in FLOWS[4:5]:
        row(
            f"nodes {label}",
            [sum(week.get(event, 0) for week in result["weekly"].values()) for result in results],
        )
    row(
        "called unusual / forbidden at the start",
        [
            " / ".join(
                str(result["warnings"].get(code, 0))
                for code in ("destination_unusual", "destination_forbidden")
            )
            for result in results
        ],
    )
    row("graduates without a start", [result["nation"]["idle"] for result in results])
    row("SX at the end", [_percent(result["nation"]["sx"]) for result in results])
    row("XS at the end", [_percent(result["nation"]["xs"]) for result in results])
    for day in ("08-31", "09-30", "10-31"):
        row(f"SX / XS in the week of {day}", [_in_week(result, day) for result in results])
    row(
        "most open nodes at a week's end",
        [max(week["open"] for week in result["weeks"]) for result in results],
    )
    for state in ("pending_out", "pending_in", "pending_province", "pending_assign"):
        row(f"{state}: days p50 / p90", [_latency(result, state) for result in results])
    row("digest (same seed, same season)", [result["digest"] for result in results])
    row("seconds", [result["seconds"] for result in results])
    names = sorted({name for result in results for name in result["provinces"]})
    lines += [
        "",
        f"{'province':<22}"
        + "".join(
            f"{'SX ' + result['policy']:>{width}}{'XS ' + result['policy']:>{width}}" for result in results
        ),
    ]
    for name in names:
        rates = [result["provinces"].get(name, {}) for result in results]
        if any(rate.get("sx") is not None or rate.get("xs") is not None for rate in rates):
            wide = 22 - sum(ord(sign) > 0x2E80 for sign in name)
            lines.append(
                f"{name:<{wide}}"
                + "".join(
                    f"{_percent(rate.get('sx')):>{width}}{_percent(rate.get('xs')):>{width}}"
                    for rate in rates
                )
            )
    for result in results:
        lines.append(
            f"\n{result['policy']}: "
            + (
                "all invariants hold, and the recount of the statistics agrees"
                if not result["broken"]
                else "BROKEN: " + "; ".join(result["broken"])
            )
        )
        lines += [f"  {count} x {problem}" for problem, count in result["problems"].items()]
    return "\n".join(lines)


def _in_week(result: dict[str, Any], day: str) -> str:
    wanted = f"{result['year']}-{day}"
    week = next((one for one in result["weeks"] if one["day"] >= wanted), result["weeks"][-1])
    return f"{_percent(week['sx'])} / {_percent(week['xs'])}"


def _latency(result: dict[str, Any], state: str) -> str:
    found = next((one for one in result["latency"] if one["state"] == state), None)
    return "—" if found is None else f"{found['p50']:.1f} / {found['p90']:.1f}"


def draw(results: list[dict[str, Any]], out: Path) -> list[Path]:
    """Draw the charts as PNG and a page that holds them; return the files.

    Each chart is one file with the policies side by side.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110}
    )
    files: list[tuple[Path, str, str]] = []

    def chart(name: str, zh: str, en: str, one: Any, height: float = 3.4) -> None:
        figure, axes = plt.subplots(
            1, len(results), figsize=(7.2 * len(results), height), sharey=True, squeeze=False
        )
        for axis, result in zip(axes[0], results, strict=True):
            one(axis, result)
            axis.set_title(f"{en}: {result['policy']}")
        figure.tight_layout()
        path = out / f"{name}.png"
        figure.savefig(path)
        plt.close(figure)
        files.append((path, zh, en))

    def ages(axis: Any, result: dict[str, Any]) -> None:
        days = [date.fromisoformat(week["day"]) for week in result["weeks"]]
        labels = {"assign": "waiting for assignment", **{age: f"{age} days" for age in AGES[:-1]}}
        axis.stackplot(
            days,
            [[week["ages"].get(age, 0) for week in result["weeks"]] for age in AGES],
            labels=[labels[age] for age in AGES],
            colors=COLOURS,
        )
        axis.set_ylabel("open nodes")
        axis.legend(loc="upper left", fontsize=7, frameon=False)
        axis.tick_params(axis="x", rotation=30)

    def flows(axis: Any, result: dict[str, Any]) -> None:
        weeks = sorted(result["weekly"])
        for event, label, colour in FLOWS:
            values = [result["weekly"][week].get(event, 0) for week in weeks]
            if any(values):
                axis.plot(
                    [date.fromisoformat(week) for week in weeks],
                    values,
                    label=label,
                    color=colour,
                    linewidth=1.8,
                )
        axis.set_ylabel("per week")
        axis.legend(fontsize=7, frameon=False)
        axis.tick_params(axis="x", rotation=30)

    def rates(axis: Any, result: dict[str, Any]) -> None:
        days = [date.fromisoformat(week["day"]) for week in result["weeks"]]
        for name, colour in (("sx", "#4477aa"), ("xs", "#228833")):
            axis.plot(
                days,
                [None if week[name] is None else 100 * week[name] for week in result["weeks"]],
                label=name.upper(),
                color=colour,
                linewidth=1.8,
            )
        axis.set_ylim(0, 100)
        axis.set_ylabel("%")
        axis.legend(fontsize=8, frameon=False)
        axis.tick_params(axis="x", rotation=30)

    def provinces(axis: Any, result: dict[str, Any]) -> None:
        some = [
            (number, values)
            for number, values in enumerate(result["provinces"].values(), start=1)
            if values["sx"] is not None and values["xs"] is not None
        ]
        axis.bar(
            [number - 0.2 for number, _ in some],
            [100 * values["sx"] for _, values in some],
            0.4,
            label="SX",
            color="#4477aa",
        )
        axis.bar(
            [number + 0.2 for number, _ in some],
            [100 * values["xs"] for _, values in some],
            0.4,
            label="XS",
            color="#228833",
        )
        axis.set_ylim(0, 115)
        axis.set_yticks(range(0, 101, 20))
        axis.set_xticks([number for number, _ in some])
        axis.tick_params(axis="x", labelsize=7)
        axis.set_xlabel("province, numbered as listed on the page")
        axis.legend(fontsize=8, frameon=False, loc="upper center", ncol=2)

    def latency(axis: Any, result: dict[str, Any]) -> None:
        some = result["latency"]
        axis.barh([one["state"] for one in some], [one["p90"] for one in some], color="#a6dba0", label="p90")
        axis.barh([one["state"] for one in some], [one["p50"] for one in some], color="#228833", label="p50")
        axis.set_xlabel("days from opening to decision")
        axis.legend(fontsize=7, frameon=False)

    chart("open_nodes", "每周末待办按等待时间", "Open nodes by age", ages)
    chart("weekly", "每周发起、完成、驳回与时钟处理", "Per week", flows)
    chart("rates", "升学衔接率与学社衔接率", "SX and XS", rates)
    chart("provinces", "各省 SX/XS", "SX and XS by province", provinces)
    chart("latency", "审批用时", "Approval latency", latency, 2.6)
    page = out / "season.html"
    page.write_text(_page(results, files), "utf-8")
    return [page, *(path for path, _, _ in files)]


def _picture(path: Path, zh: str, en: str) -> str:
    # in the page itself, so that one file can be sent on
    png = base64.b64encode(path.read_bytes()).decode()
    return f'<h2>{zh} <small>{en}</small></h2><img alt="{en}" src="data:image/png;base64,{png}">'


def _page(results: list[dict[str, Any]], files: list[tuple[Path, str, str]]) -> str:
    pictures = "".join(_picture(*file) for file in files)
    policies = " / ".join(html.escape(result["policy"]) for result in results)
    first = results[0]
    names = "".join(
        f"<li>{number}: {html.escape(name)}</li>" for number, name in enumerate(first["provinces"], start=1)
    )
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Season</title>'
        "<style>body{font:15px/1.5 sans-serif;max-width:1500px;margin:1rem auto;padding:0 1rem}"
        "img{max-width:100%}pre{overflow:auto;background:#f4f4f4;padding:1rem}"
        "ul{columns:6 9rem;padding-left:1.2rem}small{font-weight:normal;color:#666}</style>"
        f"<h1>{policies} <small>{first['year']}, {first['graduates']} graduates,"
        f" seed {first['seed']}</small></h1>"
        f"<pre>{html.escape(text(results))}</pre>{pictures}<ul>{names}</ul></html>"
    )
