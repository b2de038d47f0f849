"""A roster as people fill it in: a good row, and a sheet of rows."""

import io
from datetime import date

import xlsxwriter

from services.gateway.files import roster

GOOD = (
    "1",
    "共青团某大学某班支部委员会",
    "张三",
    "11010120050101001X",
    "汉族",
    "19900000000",
    "2019-05",
    "",
    "书记",
)


def sheet(*rows, header=roster.HEADER, marker=roster.MARKER) -> bytes:
    """Return an .xlsx with the marker, the header and the rows; dates are cells of dates."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(target)
    page = book.add_worksheet()
    for number, row in enumerate(([marker], header, *rows)):
        for column, value in enumerate(row):
            if isinstance(value, date):
                page.write_datetime(number, column, value, book.add_format({"num_format": "yyyy-mm-dd"}))
            else:
                page.write(number, column, value)
    book.close()
    return target.getvalue()
