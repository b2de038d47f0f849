"""A spreadsheet that goes out while it is written, so that a long one is on its way at once (DOC-05).

The format is a zip of texts. A zip can be written without going back, and its directory stands at the
end: a file of which the last rows are missing is none, and nobody takes it for the whole.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

MIME = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ROWS_OF_A_SHEET = 1_000_000
"""Programs take 48,576 more; a longer list goes on in another sheet."""
_AT_A_TIME = 100
"""Rows after which what is packed goes out."""
_LONGEST = 32_767
"""Characters of a cell."""
_NO_SIGN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOOKS_WRITTEN = re.compile(r"_(?=x[0-9a-fA-F]{4}_)")
"""How the format writes a sign that XML has not; typed by somebody it would be read as that sign."""
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DOCUMENT = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PLAIN = 'numFmtId="0" fontId="0" fillId="0" borderId="0"'
_STYLES = f"""{_XML}<styleSheet xmlns="{_MAIN}">\
<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>\
<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>\
<fills count="2"><fill><patternFill patternType="none"/></fill>\
<fill><patternFill patternType="gray125"/></fill></fills>\
<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>\
<cellStyleXfs count="1"><xf {_PLAIN}/></cellStyleXfs>\
<cellXfs count="3"><xf {_PLAIN} xfId="0"/>\
<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>\
<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>\
<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>"""
_HEAD, _TEXT = 1, 2
"""Which of the styles: bold; a text that is never read as a number or a formula."""


class _Way:
    """What a zip is written to, and taken from."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""

    def take(self) -> bytes:
        """Return what has been written since it was last asked."""
        taken, self._parts = b"".join(self._parts), []
        return taken


def blocks(heads: Sequence[str], rows: Iterator[Sequence[str | float]], name: str) -> Iterator[bytes]:
    """Return the bytes of a spreadsheet of rows, as they come; texts are texts, whatever they look like.

    `name` is that of its sheets. Without rows it is empty.
    """
    way = _Way()
    with zipfile.ZipFile(way, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("xl/styles.xml", _STYLES)
        yield way.take()
        sheets, more = 0, True
        while more:
            sheets += 1
            with package.open(f"xl/worksheets/sheet{sheets}.xml", "w") as out:
                out.write(_begin(len(heads)).encode())
                written = 0
                for written, row in enumerate(rows, start=1):
                    if written == 1:
                        out.write(_row(1, heads, _HEAD).encode())
                    out.write(_row(written + 1, row, _TEXT).encode())
                    if written % _AT_A_TIME == 0 and (ready := way.take()):
                        yield ready
                    if written == ROWS_OF_A_SHEET:
                        break
                more = written == ROWS_OF_A_SHEET
                out.write(b"</sheetData></worksheet>")
        for path, text in _around([name if n == 1 else f"{name}{n}" for n in range(1, sheets + 1)]):
            package.writestr(path, text)
    yield way.take()


def _begin(columns: int) -> str:
    """Return what stands before the rows: the first of them stays in sight, columns are wide enough."""
    return (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f'<cols><col min="1" max="{max(columns, 1)}" width="18" customWidth="1"/></cols><sheetData>'
    )


def _row(number: int, values: Sequence[str | float], style: int) -> str:
    cells = "".join(
        _cell(f"{_letters(n)}{number}", value, style) for n, value in enumerate(values) if value != ""
    )
    return f'<row r="{number}">{cells}</row>'


def _cell(place: str, value: str | float, style: int) -> str:
    if not isinstance(value, str):
        return f'<c r="{place}"><v>{value}</v></c>'
    text = escape(_NO_SIGN.sub("", _LOOKS_WRITTEN.sub("_x005F_", value[:_LONGEST])))
    return f'<c r="{place}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _letters(column: int) -> str:
    """Return what a column is called: A to Z, AA and so on."""
    before, last = divmod(column, 26)
    return (_letters(before - 1) if before else "") + chr(65 + last)


def _around(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the parts that say what is where, for sheets of these names."""
    numbered = list(enumerate(names, start=1))
    styles = len(names) + 1
    return [
        (
            "xl/workbook.xml",
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_DOCUMENT}"><sheets>'
            + "".join(f'<sheet name="{escape(one)}" sheetId="{n}" r:id="rId{n}"/>' for n, one in numbered)
            + "</sheets></workbook>",
        ),
        (
            "xl/_rels/workbook.xml.rels",
            f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
            + "".join(_relation(n, "worksheet", f"worksheets/sheet{n}.xml") for n, _one in numbered)
            + _relation(styles, "styles", "styles.xml")
            + "</Relationships>",
        ),
        (
            "_rels/.rels",
            f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
            f"{_relation(1, 'officeDocument', 'xl/workbook.xml')}</Relationships>",
        ),
        (
            "[Content_Types].xml",
            f'{_XML}<Types xmlns="{_PACKAGE}/content-types">'
            '<Default Extension="rels"'
            ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            + _kind("workbook.xml", "sheet.main")
            + _kind("styles.xml", "styles")
            + "".join(_kind(f"worksheets/sheet{n}.xml", "worksheet") for n, _one in numbered)
            + "</Types>",
        ),
    ]


def _relation(number: int, kind: str, target: str) -> str:
    return f'<Relationship Id="rId{number}" Type="{_DOCUMENT}/{kind}" Target="{target}"/>'


def _kind(part: str, kind: str) -> str:
    return f'<Override PartName="/xl/{part}" ContentType="{_SPREADSHEET}.{kind}+xml"/>'
