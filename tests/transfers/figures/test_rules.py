"""What the figures are called, without a database; what they mean is held to the SQL in `test_handlers`."""

import pytest

from services.transfers.figures import rules


@pytest.mark.rule("STAT-15")
def test_figures():
    """STAT-15: there are people behind each figure, and behind nothing else."""
    assert all(rules.check_figure(figure) is None for figure in rules.FIGURES)
    assert rules.check_figure("everybody").code == "unknown_figure"
    assert rules.check_figure("").code == "unknown_figure"


@pytest.mark.rule("STAT-13")
@pytest.mark.parametrize(
    "rate_of, stage, requested, inside, target, adds",
    [
        ("SX", "completed", True, True, True, {"completed", "study", "studied"}),
        ("XS", "completed", True, True, False, {"completed", "society", "settled"}),
        ("SX", "completed", True, False, True, {"study_in", "studied"}),
        ("XS", "completed", True, False, True, {"society_in", "settled"}),
        ("XS", "open", True, False, True, {"society_in"}),
        ("XS", "ended", False, False, True, set()),
        ("", "completed", True, True, True, {"completed", "excluded"}),
        ("", "completed", True, False, True, set()),
        ("SX", "completed", True, False, False, set()),
    ],
)
def test_contribution(rate_of, stage, requested, inside, target, adds):
    """STAT-13: one graduate counts once, where the branch of graduation lies, else where the target does."""
    assert rules.contribution(rate_of, stage, requested, inside, target) == dict.fromkeys(adds, 1)
