"""What the figures are called, without a database; what they mean is held to the SQL in `test_handlers`."""

import pytest

from services.transfers.figures import rules


@pytest.mark.rule("STAT-15")
def test_figures():
    """STAT-15: there are people behind each figure, and behind nothing else."""
    assert all(rules.check_figure(figure) is None for figure in rules.FIGURES)
    assert rules.check_figure("everybody").code == "unknown_figure"
    assert rules.check_figure("").code == "unknown_figure"
