"""What a season prints and plots: the same figures of one policy, or of several side by side."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

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


class Rates(TypedDict):
    """What became of the graduates of an organisation: the rates and the stages (STAT-14, STAT-15)."""

    sx: float | None
    xs: float | None
    idle: int
    open: int
    ended: int
    completed: int


class Week(TypedDict):
    """The end of a week: open nodes, in all and by age, and the rates of the nation."""

    day: str
    ages: dict[str, int]
    open: int
    sx: float | None
    xs: float | None


class Latency(TypedDict):
    """In how many days decisions end in a state: one half of them, and nine tenths."""

    state: str
    n: int
    p50: float
    p90: float


class Happened(TypedDict):
    """What happened by week and event, how long decisions took, how many transfers ended how."""

    weekly: dict[str, dict[str, int]]
    latency: list[Latency]
    ends: dict[str, int]


class Result(Happened):
    """What came out of a season. `digest` is the same where the season was; `broken` should be empty."""

    policy: str
    year: int
    graduates: int
    seed: int
    weeks: list[Week]
    nation: Rates
    provinces: dict[str, Rates]
    problems: dict[str, int]
    warnings: dict[str, int]
    broken: list[str]
    digest: str
    seconds: float


def _percent(value: float | None) -> str:
    return "—" if value is None else f"{100 * value:.1f} %"


def text(results: list[Result]) -> str:
    """Return the tables as plain text."""
    width = max(18, *(len(result["policy"]) + 5 for result in results))
    lines = ["", _line("", [result["policy"] for result in results], width)]
    lines += [_line(label, values, width) for label, values in _rows(results)]
    lines += ["", *_by_province(results, width)]
    for result in results:
        lines += _verdict(result)
    return "\n".join(lines)


def _line(label: str, values: list[Any], width: int) -> str:
    return f"{label:<34}" + "".join(f"{value!s:>{width}}" for value in values)


def _rows(results: list[Result]) -> Iterator[tuple[str, list[Any]]]:
    """Return the lines of the first table: what is counted, and the count under each policy."""
    yield "graduates", [result["graduates"] for result in results]
    for state in STATES:
        ended = [result["ends"].get(state, 0) for result in results]
        if any(ended):
            yield f"transfers {state}", ended
    for label, figure in _FIGURES:
        yield label, [figure(result) for result in results]


def _by_clock(result: Result) -> int:
    return sum(week.get("clock_approve", 0) for week in result["weekly"].values())


def _warnings(result: Result) -> str:
    codes = ("destination_unusual", "destination_forbidden")
    return " / ".join(str(result["warnings"].get(code, 0)) for code in codes)


def _by_province(results: list[Result], width: int) -> list[str]:
    heads = (f"{'SX ' + result['policy']:>{width}}{'XS ' + result['policy']:>{width}}" for result in results)
    lines = [f"{'province':<22}" + "".join(heads)]
    for name in sorted({name for result in results for name in result["provinces"]}):
        rates = [_rates_of(result, name) for result in results]
        if all(sx is None and xs is None for sx, xs in rates):
            continue
        # a Chinese sign is two columns wide
        wide = 22 - sum(ord(sign) > 0x2E80 for sign in name)
        shares = (f"{_percent(sx):>{width}}{_percent(xs):>{width}}" for sx, xs in rates)
        lines.append(f"{name:<{wide}}" + "".join(shares))
    return lines


def _rates_of(result: Result, province: str) -> tuple[float | None, float | None]:
    """Return SX and XS of a province, None where there are none."""
    rates = result["provinces"].get(province)
    return (rates["sx"], rates["xs"]) if rates is not None else (None, None)


def _verdict(result: Result) -> list[str]:
    found = "all invariants hold, and the recount of the statistics agrees"
    if result["broken"]:
        found = "BROKEN: " + "; ".join(result["broken"])
    return [
        f"\n{result['policy']}: {found}",
        *(f"  {count} x {problem}" for problem, count in result["problems"].items()),
    ]


def _in_week(result: Result, day: str) -> str:
    wanted = f"{result['year']}-{day}"
    week = next((one for one in result["weeks"] if one["day"] >= wanted), result["weeks"][-1])
    return f"{_percent(week['sx'])} / {_percent(week['xs'])}"


def _latency(result: Result, state: str) -> str:
    found = next((one for one in result["latency"] if one["state"] == state), None)
    return "—" if found is None else f"{found['p50']:.1f} / {found['p90']:.1f}"


_FIGURES: tuple[tuple[str, Callable[[Result], Any]], ...] = (
    ("nodes approved by the clock", _by_clock),
    ("called unusual / forbidden at the start", _warnings),
    ("graduates without a start", lambda result: result["nation"]["idle"]),
    ("SX at the end", lambda result: _percent(result["nation"]["sx"])),
    ("XS at the end", lambda result: _percent(result["nation"]["xs"])),
    ("SX / XS in the week of 08-31", lambda result: _in_week(result, "08-31")),
    ("SX / XS in the week of 09-30", lambda result: _in_week(result, "09-30")),
    ("SX / XS in the week of 10-31", lambda result: _in_week(result, "10-31")),
    ("most open nodes at a week's end", lambda result: max(week["open"] for week in result["weeks"])),
    ("pending_out: days p50 / p90", lambda result: _latency(result, "pending_out")),
    ("pending_in: days p50 / p90", lambda result: _latency(result, "pending_in")),
    ("pending_province: days p50 / p90", lambda result: _latency(result, "pending_province")),
    ("pending_assign: days p50 / p90", lambda result: _latency(result, "pending_assign")),
    ("digest (same seed, same season)", lambda result: result["digest"]),
    ("seconds", lambda result: result["seconds"]),
)
"""The figures of one policy, as the table names them."""


def draw(results: list[Result], out: Path) -> list[Path]:
    """Draw the charts as PNG and a page that holds them; return the files.

    Each chart is one file with the policies side by side.
    """
    files = []
    for name, zh, en, on_axis, height in _CHARTS:
        path = out / f"{name}.png"
        _chart(results, path, en, on_axis, height)
        files.append((path, zh, en))
    page = out / "season.html"
    page.write_text(_page(results, files), "utf-8")
    return [page, *(path for path, _, _ in files)]


def _chart(results: list[Result], path: Path, title: str, on_axis: Any, height: float) -> None:
    # imported here: it takes a second, and only a season draws
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110}
    )
    size = (7.2 * len(results), height)
    figure, axes = plt.subplots(1, len(results), figsize=size, sharey=True, squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        on_axis(axis, result)
        axis.set_title(f"{title}: {result['policy']}")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _ages(axis: Any, result: Result) -> None:
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


def _flows(axis: Any, result: Result) -> None:
    weeks = sorted(result["weekly"])
    days = [date.fromisoformat(week) for week in weeks]
    for event, label, colour in FLOWS:
        values = [result["weekly"][week].get(event, 0) for week in weeks]
        if any(values):
            axis.plot(days, values, label=label, color=colour, linewidth=1.8)
    axis.set_ylabel("per week")
    axis.legend(fontsize=7, frameon=False)
    axis.tick_params(axis="x", rotation=30)


def _rates(axis: Any, result: Result) -> None:
    days = [date.fromisoformat(week["day"]) for week in result["weeks"]]
    sx = [week["sx"] for week in result["weeks"]]
    xs = [week["xs"] for week in result["weeks"]]
    for label, colour, rates in (("SX", "#4477aa", sx), ("XS", "#228833", xs)):
        shares = [None if rate is None else 100 * rate for rate in rates]
        axis.plot(days, shares, label=label, color=colour, linewidth=1.8)
    axis.set_ylim(0, 100)
    axis.set_ylabel("%")
    axis.legend(fontsize=8, frameon=False)
    axis.tick_params(axis="x", rotation=30)


def _provinces(axis: Any, result: Result) -> None:
    some = [
        (number, 100 * values["sx"], 100 * values["xs"])
        for number, values in enumerate(result["provinces"].values(), start=1)
        if values["sx"] is not None and values["xs"] is not None
    ]
    # two bars for each province, left and right of its number
    left, right = [number - 0.2 for number, _, _ in some], [number + 0.2 for number, _, _ in some]
    axis.bar(left, [sx for _, sx, _ in some], 0.4, label="SX", color="#4477aa")
    axis.bar(right, [xs for _, _, xs in some], 0.4, label="XS", color="#228833")
    axis.set_ylim(0, 115)
    axis.set_yticks(range(0, 101, 20))
    axis.set_xticks([number for number, _, _ in some])
    axis.tick_params(axis="x", labelsize=7)
    axis.set_xlabel("province, numbered as listed on the page")
    axis.legend(fontsize=8, frameon=False, loc="upper center", ncol=2)


def _waits(axis: Any, result: Result) -> None:
    states = [one["state"] for one in result["latency"]]
    axis.barh(states, [one["p90"] for one in result["latency"]], color="#a6dba0", label="p90")
    axis.barh(states, [one["p50"] for one in result["latency"]], color="#228833", label="p50")
    axis.set_xlabel("days from opening to decision")
    axis.legend(fontsize=7, frameon=False)


_CHARTS = (
    ("open_nodes", "每周末待办按等待时间", "Open nodes by age", _ages, 3.4),
    ("weekly", "每周发起、完成、驳回与时钟处理", "Per week", _flows, 3.4),
    ("rates", "升学衔接率与学社衔接率", "SX and XS", _rates, 3.4),
    ("provinces", "各省 SX/XS", "SX and XS by province", _provinces, 3.4),
    ("latency", "审批用时", "Approval latency", _waits, 2.6),
)
"""Every chart: its file, its name in both languages, what draws it for one policy, its height in inches."""


def _picture(path: Path, zh: str, en: str) -> str:
    # in the page itself, so that one file can be sent on
    png = base64.b64encode(path.read_bytes()).decode()
    return f'<h2>{zh} <small>{en}</small></h2><img alt="{en}" src="data:image/png;base64,{png}">'


_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:1500px;margin:1rem auto;padding:0 1rem}"
    "img{max-width:100%}pre{overflow:auto;background:#f4f4f4;padding:1rem}"
    "ul{columns:6 9rem;padding-left:1.2rem}small{font-weight:normal;color:#666}"
)


def _page(results: list[Result], files: list[tuple[Path, str, str]]) -> str:
    pictures = "".join(_picture(*file) for file in files)
    policies = " / ".join(html.escape(result["policy"]) for result in results)
    first = results[0]
    names = "".join(
        f"<li>{number}: {html.escape(name)}</li>" for number, name in enumerate(first["provinces"], start=1)
    )
    return (
        '<!doctype html><html lang="zh"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Season</title>'
        f"<style>{_STYLE}</style>"
        f"<h1>{policies} <small>{first['year']}, {first['graduates']} graduates,"
        f" seed {first['seed']}</small></h1>"
        f"<pre>{html.escape(text(results))}</pre>{pictures}<ul>{names}</ul></html>"
    )
