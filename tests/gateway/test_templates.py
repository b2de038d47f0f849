"""Templates stay readable: what djlint does not count is the width. Forms are read in one way."""

import re

import pytest

from tests.installation import ROOT

FOLDER = ROOT / "services/gateway/templates"
WIDTH = 120
CAST = re.compile(
    r"\b(?:int|float|UUID|fromisoformat|fields\.\w+|convert)\((?:\w+\()*\[?(?:request\.(?:form|values)|form)\b"
)
"""A field of a form that is read by hand."""


@pytest.mark.parametrize(
    "path", sorted(FOLDER.rglob("*.html")), ids=lambda path: str(path.relative_to(FOLDER))
)
def test_no_line_is_wide(path):
    """No line of a template has more than 120 characters (a Chinese one is one)."""
    lines = path.read_text("utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > WIDTH] == []


@pytest.mark.parametrize(
    "line", ['fields.number(form.get("x"))', 'int(request.form["x"])', "UUID(form.get(''))"]
)
def test_a_cast_is_seen(line):
    """The pattern finds what it is meant for."""
    assert CAST.search(line)


def test_no_form_is_read_by_hand():
    """A form is read as one struct, with all its errors at once (kit/form.py), never field by field."""
    found = [
        f"{path.name}:{number}"
        for path in sorted((ROOT / "services/gateway/pages").glob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if CAST.search(line)
    ]
    assert found == []
