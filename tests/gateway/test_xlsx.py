"""Spreadsheets that go out while they are written."""

import io
import zipfile

import msgspec
import pytest
from python_calamine import CalamineWorkbook

from services.gateway.app import create_app
from services.gateway.files import sheet, xlsx
from shared.errors import Refused
from shared.settings import Settings


class Person(msgspec.Struct):
    """A row as services give it."""

    name: str
    children: int


def read(content: bytes, number: int = 0) -> list[list]:
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(number).to_python()


def test_texts_are_texts():
    """DOC-05: nothing that people typed is a formula, a tag, a sign of the format or too long for a cell."""
    typed = ["=1+1", "<b>&", "_x0041_", "a\x00\x0bb", "一\n二", " 空 ", "😀", "0012", "长" * 40_000]
    content = b"".join(xlsx.blocks(["编号"] * 9, iter([typed]), "列表"))
    assert read(content) == [
        ["编号"] * 9,
        [*typed[:3], "ab", *typed[4:8], "长" * 32_767],
    ]
    sheet_text = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet_text and sheet_text.count('s="2" t="inlineStr"') == 9


def test_a_long_list_is_on_its_way_before_its_end():
    """A file begins before its first row is asked for, and goes on while rows come."""
    asked = []

    def rows():
        for n in range(5_000):
            asked.append(n)
            yield [f"{n * 7919 % 10_007}", n]

    out = xlsx.blocks(["甲", "乙"], rows(), "列表")
    content, before = next(out), list(asked)
    assert content[:2] == b"PK" and before == []
    content += next(out)
    assert 0 < len(asked) < 2_500
    content += b"".join(out)
    assert read(content)[1:] == [[f"{n * 7919 % 10_007}", n] for n in range(5_000)]


@pytest.mark.parametrize("rows, sheets", [(0, [[]]), (2, [["1", "2"]]), (5, [["1", "2", "3"], ["4", "5"]])])
def test_what_no_sheet_holds_goes_on_in_another(monkeypatch, rows, sheets):
    """Each sheet has the heads; none has more rows than programs take; no rows, no heads."""
    monkeypatch.setattr(xlsx, "ROWS_OF_A_SHEET", 3)
    content = b"".join(xlsx.blocks(["头"], iter([[f"{n + 1}"] for n in range(rows)]), "列表"))
    assert [[row[0] for row in read(content, n)[1:]] for n in range(len(sheets))] == sheets
    assert CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names == ["列表", "列表2"][: len(sheets)]


@pytest.fixture
def application(tmp_path):
    return create_app(None, Settings("", "", "memory://", tmp_path, 0))


@pytest.mark.rule("DOC-05", "BEY-10")
def test_a_refusal_is_no_file_and_half_a_file_is_none(application):
    """DOC-05, BEY-10: what refuses the first row is answered, and nothing is noted as taken.

    What fails later leaves a file that cannot be opened.
    """
    noted = []

    def rows(good):
        for n in range(good):
            yield Person(name=f"团员{n}", children=n)
        raise Refused("unavailable")

    with application.test_request_context():
        with pytest.raises(Refused, match="unavailable"):
            sheet.answer(rows(0), "members", lambda: noted.append(1))
        assert noted == []
        begun, parts = sheet.answer(rows(500), "members", lambda: noted.append(1)), []
        assert noted == [1] and begun.content_type == xlsx.MIME
        with pytest.raises(Refused, match="unavailable"):
            parts.extend(begun.response)
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(b"".join(parts)))
        whole = sheet.answer([Person(name="甲", children=2)], "members")
        assert read(b"".join(whole.response)) == [["名称", "下级组织数"], ["甲", 2]]
