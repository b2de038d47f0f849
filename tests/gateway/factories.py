"""Spreadsheets made to hurt, written part by part."""

import io
import zipfile


def package(sheet_xml: str = "", strings: bytes = b"", workbook: str = "xl/workbook.xml") -> bytes:
    """Return an .xlsx of the fewest parts with the sheet and the shared strings given."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types"/>',
        "_rels/.rels": "",
        workbook: (
            f'<workbook xmlns="{main}" xmlns:r="{office}">'
            '<sheets><sheet name="s" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": (
            f'<Relationships xmlns="{packages}/relationships">'
            f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
            f'<Relationship Id="rId2" Type="{office}/sharedStrings" Target="sharedStrings.xml"/>'
            "</Relationships>"
        ),
        "xl/worksheets/sheet1.xml": (
            f'<worksheet xmlns="{main}"><sheetData>{sheet_xml}</sheetData></worksheet>'
        ),
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name, text in parts.items():
            file.writestr(name, text)
        if strings:
            file.writestr("xl/sharedStrings.xml", strings)
    return target.getvalue()


def cells(*places: str) -> str:
    """Return a row with one cell for each place."""
    return "".join(
        f'<row r="{"".join(one for one in place if one.isdigit())}"><c r="{place}"><v>1</v></c></row>'
        for place in places
    )


def many_rows(rows: int) -> str:
    """Return rows of one cell each."""
    return "".join(f'<row r="{number}"><c r="A{number}"><v>1</v></c></row>' for number in range(1, rows))


def ods_of_a_billion_rows() -> bytes:
    """Return an .ods that repeats one row a billion times, in a small file."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        file.writestr(
            "content.xml",
            '<office:document-content xmlns:office="o" xmlns:table="t">'
            '<office:body><office:spreadsheet><table:table table:name="s">'
            '<table:table-row table:number-rows-repeated="1000000000">'
            '<table:table-cell office:value-type="float" office:value="1"/></table:table-row>'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    return target.getvalue()


HOSTILE = {
    "the farthest two cells": lambda: package(cells("A1", "XFD1048576")),
    "far enough to allocate gibibytes": lambda: package(cells("A1", "XFD10000")),
    "far enough to allocate what the limit allows": lambda: package(cells("A1", "XFD300")),
    "200 MB of text": lambda: package(cells("A1"), b"<sst><si><t>" + b"x" * 200_000_000 + b"</t></si></sst>"),
    "a row for every line": lambda: package(many_rows(400_000)),
    "a row number beyond all": lambda: package('<row r="1000000000"><c r="A1000000000"><v>1</v></c></row>'),
    "a sheet of tags": lambda: package("<row>" * 2_000_000),
    "an .ods of a billion rows": ods_of_a_billion_rows,
    "an .xlsb": lambda: package(workbook="xl/workbook.bin"),
    ".xls garbage": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256)) * 4000,
    "an .xls that points to itself": lambda: (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + b"\x00" * 16
        + b"\x3e\x00\x03\x00\xfe\xff\x09\x00"
        + b"\x00" * 4096
    ),
    "no spreadsheet": lambda: b"MZ" + b"\x00" * 100,
    "nothing": lambda: b"",
}
