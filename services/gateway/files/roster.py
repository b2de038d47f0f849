"""Rosters as spreadsheets: uploads are read, templates and failed rows written (IMP-02..09, DOC-06).

Only reading and writing happen here; whether a row may be entered is decided by members.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, BinaryIO

import python_calamine
import xlsxwriter

from shared.errors import Refused
from shared.messages.words import PostCode
from shared.reference import post_code

MARKER = "团桥导入模板:下级团支部团员团干部"
OTHER_MARKER = "团桥导入模板:本级团干部"
"""A template says in its first cell which of the two it is; they must not be mixed (IMP-03, IMP-04)."""
HEADER = (
    "序号",
    "所在团支部全称",
    "姓名",
    "身份证号码",
    "民族",
    "手机号码",
    "入团年月",
    "发展团员编号",
    "团内职务",
)
REASON = "失败原因"
EXAMPLE = (
    "示例",
    "共青团某大学某学院某班支部委员会",
    "张三",
    "11010120050101001X",
    "汉族",
    "19900000000",
    "2019-05",
    "201900000001",
    "",
)
GROUPS = (
    "汉族",
    "蒙古族",
    "回族",
    "藏族",
    "维吾尔族",
    "苗族",
    "彝族",
    "壮族",
    "布依族",
    "朝鲜族",
    "满族",
    "侗族",
    "瑶族",
    "白族",
    "土家族",
    "哈尼族",
    "哈萨克族",
    "傣族",
    "黎族",
)
POSTS = tuple(one.zh for one in PostCode)
MAX_ROWS = 1000
"""The most rows of one file unless the installation says otherwise (IMP-14)."""
MAX_LINES, MAX_COLUMNS, MAX_CELLS = 20_000, 200, 1_000_000
"""Where the last cell of a file may stand, and how large the table before it may be.

Lines may be empty, but not without end.
"""
MAX_TEXT = 200
"""The longest text of a cell that a row takes; no field of a member is longer."""


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One row as it was read; `problem` says in Chinese what could not be read."""

    number: int
    branch_name: str
    name: str
    id_number: str
    ethnic_group: str
    phone: str
    joined_on: date | None
    development_number: str
    post: str
    problem: str = ""


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else unicodedata.normalize("NFKC", str(cell)).strip()


def _name(cell: Any) -> str:
    """Return a name as it stands there: folding would change rare forms of characters."""
    return cell.strip() if isinstance(cell, str) else _text(cell)


def _month(cell: Any) -> date | None:
    """Return a joining date from a spreadsheet date or from `2019-05`, `2019.5`, `201905`, `2019年5月`.

    Raises:
        ValueError: It is none of these.

    """
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    text = _text(cell)
    if not text:
        return None
    parts = [
        part
        for part in "".join(character if character.isdigit() else " " for character in text).split()
        if part
    ]
    if len(parts) == 1 and len(parts[0]) in (6, 8):
        parts = [parts[0][:4], parts[0][4:6], *([parts[0][6:]] if len(parts[0]) == 8 else [])]
    if len(parts) not in (2, 3):
        raise ValueError(text)
    try:
        return date(int(parts[0]), int(parts[1]), int(parts[2]) if len(parts) == 3 else 1)
    except OverflowError as error:  # any number may stand in a cell
        raise ValueError(text) from error


def read_roster(content: bytes, own: bool = False, max_rows: int = MAX_ROWS) -> list[RosterRow]:
    """Return the rows of an .xlsx or .xls roster.

    `own` asks for the template of own-level cadres instead of the one of subordinate branches
    (IMP-04, IMP-11). Blank lines and the example are skipped; the header is found wherever it
    stands; full-width digits are folded.

    The file is trusted here: what strangers send is read through `workbooks.py`, in a process with
    limits.

    Raises:
        Refused: `roster_broken` (no spreadsheet, other template, no header, cells far away) or
            `roster_too_long`.

    """
    table = _table(content)
    _check_template(table, own)
    at, columns = _header(table, own)
    read = (_row(number, table[number], columns) for number in range(at + 1, len(table)))
    rows = [row for row in read if row is not None]
    if len(rows) > max_rows:
        raise Refused("roster_too_long", limit=max_rows)
    return rows


def _table(content: bytes) -> list[list[Any]]:
    """Return the cells of the first sheet, unless the last of them stands too far away."""
    try:
        sheet = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        last = sheet.end or (0, 0)
    except Exception as error:
        raise Refused("roster_broken", detail="不是有效的 .xlsx 或 .xls 文件") from error
    if last[0] >= MAX_LINES or last[1] >= MAX_COLUMNS or (last[0] + 1) * (last[1] + 1) > MAX_CELLS:
        raise Refused("roster_broken", detail=f"内容超出{MAX_LINES}行、{MAX_COLUMNS}列,请删除表格之外的内容")
    return sheet.to_python(skip_empty_area=False)


def _check_template(table: list[list[Any]], own: bool) -> None:
    """Return if the sheet is the template that is wanted (IMP-03, IMP-04)."""
    cells = {_text(cell) for row in table[:10] for cell in row}
    wanted, other, called = MARKER, OTHER_MARKER, "下级团支部团员团干部"
    if own:
        wanted, other, called = OTHER_MARKER, MARKER, "本级团干部"
    if other in cells:
        raise Refused("roster_broken", detail=f"模板不能混用,请使用“{called}”模板")
    if wanted not in cells:
        raise Refused("roster_broken", detail="不是本系统的导入模板,请先下载模板")


def _header(table: list[list[Any]], own: bool) -> tuple[int, dict[str, int]]:
    """Return the number of the line of the header, and the column of each of its labels."""
    labels = ({_text(cell) for cell in row} for row in table)
    at = next((number for number, some in enumerate(labels) if {"姓名", "身份证号码"} <= some), None)
    if at is None:
        raise Refused("roster_broken", detail="找不到表头(姓名、身份证号码)")
    columns = {_text(cell): number for number, cell in enumerate(table[at])}
    needed = ("姓名", "身份证号码", "团内职务") if own else HEADER[1:4]
    missing = [label for label in needed if label not in columns]
    if missing:
        raise Refused("roster_broken", detail=f"缺少列:{'、'.join(missing)}")
    if own:
        columns.pop(HEADER[1], None)  # without a branch it is a cadre of the importing organisation
    return at, columns


def _row(number: int, cells: Sequence[Any], columns: dict[str, int]) -> RosterRow | None:
    def cell(label: str) -> Any:
        at = columns.get(label)
        return cells[at] if at is not None and at < len(cells) else ""

    if _text(cell("序号")) == "示例" or not any(_text(cell(label)) for label in HEADER[1:]):
        return None
    return read_row(number + 1, {label: cell(label) for label in HEADER[1:]}, "所在团支部全称" in columns)


def read_row(number: int, cells: Mapping[str, Any], branches: bool) -> RosterRow:
    """Return a row from its cells by the labels of the header; `branches`: it names a branch (IMP-08)."""
    try:
        joined_on = _month(cells["入团年月"])
    except ValueError:
        joined_on = None
    post = post_code(_text(cells["团内职务"]))
    return RosterRow(
        number,
        _text(cells["所在团支部全称"])[:MAX_TEXT],
        _name(cells["姓名"])[:MAX_TEXT],
        "".join(_text(cells["身份证号码"]).split()).upper()[:MAX_TEXT],
        _text(cells["民族"])[:MAX_TEXT],
        _text(cells["手机号码"])[:MAX_TEXT],
        joined_on,
        _text(cells["发展团员编号"])[:MAX_TEXT],
        post or "",
        _problem(cells, branches, joined_on, post),
    )


def _problem(cells: Mapping[str, Any], branches: bool, joined_on: date | None, post: str | None) -> str:
    """Return the first thing that is wrong with a row, empty if nothing is.

    `branches` says that the sheet has a column of branches; `joined_on` and `post` are what could
    be read.
    """
    # A spreadsheet keeps fifteen digits of a number, an ID number has eighteen.
    if isinstance(cells["身份证号码"], int | float):
        return "身份证号码被表格软件改成了数字,后几位已丢失,请把该列设为文本后重新填写"
    if joined_on is None and _text(cells["入团年月"]):
        return "入团年月无法识别,请按 2019-05 的形式填写"
    if branches and not _text(cells["所在团支部全称"]):
        return "所在团支部全称不能为空"
    if post is None:
        return f"团内职务不在可选范围,可填:{'、'.join(POSTS)}"
    if any(len(str(cell)) > MAX_TEXT for cell in cells.values()):
        return f"单元格内容过长,最多{MAX_TEXT}个字"
    return ""


def write_roster(
    target: str | BinaryIO,
    rows: Iterable[RosterRow],
    reasons: bool = False,
    own: bool = False,
    max_rows: int = MAX_ROWS,
) -> None:
    """Write rows in the template's form, in constant memory.

    With `reasons` the column of failures is added (IMP-07). `own` is the template of own-level
    cadres (IMP-04): the column of branches stays empty.

    Numbers and phones are text cells, and nothing that a user typed is ever a formula.
    """
    book = xlsxwriter.Workbook(
        target,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    )
    text, bold = book.add_format({"num_format": "@"}), book.add_format({"bold": True, "num_format": "@"})
    sheet = book.add_worksheet("团员")
    sheet.set_column(0, 0, 6)
    sheet.set_column(1, 1, 44, text)
    sheet.set_column(2, 9, 20, text)
    _write(sheet, 0, [OTHER_MARKER if own else MARKER], bold)
    _write(sheet, 1, (*HEADER, REASON) if reasons else HEADER, bold)
    _write(sheet, 2, EXAMPLE, text)
    sheet.data_validation(3, 4, max_rows + 3, 4, {"validate": "list", "source": list(GROUPS)})
    sheet.data_validation(3, 8, max_rows + 3, 8, {"validate": "list", "source": list(POSTS)})
    for number, row in enumerate(rows, start=1):
        problem = [row.problem] if reasons else []
        _write(sheet, number + 2, [str(number), *_values(row), *problem], text)
    book.close()


def _write(sheet: Any, line: int, values: Iterable[str], form: Any) -> None:
    for column, value in enumerate(values):
        sheet.write_string(line, column, value, form)


def _values(row: RosterRow) -> list[str]:
    """Return what stands in the cells of a row after its number."""
    return [
        row.branch_name,
        row.name,
        row.id_number,
        row.ethnic_group,
        row.phone,
        f"{row.joined_on:%Y-%m}" if row.joined_on else "",
        row.development_number,
        PostCode(row.post).zh,
    ]


def failed(row: RosterRow, reason: str) -> RosterRow:
    """Return the row with the reason why it was not entered."""
    return replace(row, problem=reason)
