"""Spreadsheets that the gateway sends."""

import io

import python_calamine

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def rows_of(response) -> list[list]:
    assert response.status_code == 200 and response.content_type == XLSX, response.data[:300]
    return (
        python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(response.data))
        .get_sheet_by_index(0)
        .to_python()
    )
