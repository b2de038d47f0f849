"""Introduction letters as PDF (DOC-01), with a QR code that leads to the public check (BEY-13)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import fpdf
import segno
from fontTools.ttLib import TTFont

from shared.messages.members import Letter

FONT = Path(__file__).parent / "fonts" / "wqy-microhei.ttf"
"""The project's own; an installation may have another."""
_MARGIN = 28.0
"""Millimetres."""


@cache
def _known(font: Path) -> frozenset[int]:
    with TTFont(font, lazy=True) as opened:
        return frozenset(opened.getBestCmap())


def printable(text: str, font: Path) -> str:
    """Return a text with each character that the font lacks as its code point; nothing is dropped unseen."""
    return "".join(one if ord(one) in _known(font) or one in "\n " else f"[U+{ord(one):X}]" for one in text)


def render(letter: Letter, address: str, font: Path = FONT) -> bytes:
    """Return the PDF of a letter; `address` is where the public check of its code is."""
    page = fpdf.FPDF(format="A4")
    page.set_title(f"组织关系介绍信 {letter.number}")
    page.set_lang("zh-CN")
    page.add_font("letter", fname=font)
    page.set_margins(_MARGIN, _MARGIN, _MARGIN)
    page.add_page()
    for one in _lines(letter):
        page.set_font("letter", size=one.size)
        page.multi_cell(
            0, one.size * 0.65, printable(one.text, font), align=one.align, new_x="LMARGIN", new_y="NEXT"
        )
        page.ln(one.gap)
    _add_check(page, letter.code, address, font)
    made = bytes(page.output())
    used = page.fonts["letter"]
    if isinstance(used, fpdf.fonts.TTFFont):
        used.ttfont.close()  # it keeps the file of the font open otherwise
    return made


class _Line(NamedTuple):
    """A paragraph; sizes in points, the gap after it in millimetres."""

    text: str
    size: float
    align: str = "L"
    gap: float = 2.0


def _lines(letter: Letter) -> Iterator[_Line]:
    yield _Line(letter.issuer, 16, "C")
    yield _Line("团员组织关系介绍信", 22, "C", 4)
    yield _Line(f"第 {letter.number} 号", 12, "R", 8)
    yield _Line(f"{letter.addressee}:", 14, gap=4)
    first, count = letter.names[0], len(letter.names)
    who = f"{first}同志" if count == 1 else f"{first}等{count}位同志"
    goal = f"转往{letter.to_org}" if letter.to_org else "转往你处"
    yield _Line(f"        兹介绍{who}{goal},请接收其团员组织关系。", 14, gap=3)
    if count > 1:
        yield _Line(f"        名单:{'、'.join(letter.names)}。", 12, gap=3)
    if letter.dues_until is not None:
        yield _Line(f"        团费交至{letter.dues_until.year}年{letter.dues_until.month}月。", 14, gap=6)
    yield _Line("        此致", 14, gap=1)
    yield _Line("敬礼", 14, gap=14)
    yield _Line(f"{letter.issuer}(盖章)", 14, "R", 2)
    issued, ends = letter.issued_on, letter.valid_until
    if issued is not None:
        yield _Line(f"{issued.year}年{issued.month}月{issued.day}日", 14, "R", 4)
    if issued is not None and ends is not None:
        yield _Line(f"(有效期限{(ends - issued).days}天,至{ends:%Y年%m月%d日})", 11, "R", 4)


def _add_check(page: fpdf.FPDF, code: str, address: str, font: Path) -> None:
    """Put the QR code at the foot, and in words where and with what the letter is checked."""
    picture = io.BytesIO()
    segno.make(f"{address}?code={code}", error="m").save(picture, kind="png", scale=8, border=2)
    picture.seek(0)
    top = 232.0
    page.image(picture, x=_MARGIN, y=top, w=32, alt_text="核验二维码")
    page.set_xy(_MARGIN + 36, top + 8)
    page.set_font("letter", size=10)
    said = f"扫码或登录 {address}\n输入核验码 {code}\n核验本介绍信的真伪与效力"
    page.multi_cell(0, 6, printable(said, font), align="L")
