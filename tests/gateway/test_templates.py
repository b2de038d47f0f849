"""Templates stay readable: what djlint does not count is the width."""

import pytest

from tests.installation import ROOT

FOLDER = ROOT / "services/gateway/templates"
WIDTH = 120


@pytest.mark.parametrize(
    "path", sorted(FOLDER.rglob("*.html")), ids=lambda path: str(path.relative_to(FOLDER))
)
def test_no_line_is_wide(path):
    """No line of a template has more than 120 characters (a Chinese one is one)."""
    lines = path.read_text("utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > WIDTH] == []
