"""SX and XS: what each graduate counts as, and what the figures mean (STAT-10..15, Annex F).

Pure; the SQL is in `figures.store`.

Per organisation and cohort, over its subtree R; G(R) are the graduates whose branch lies in R:

    study       B: of G(R), who goes on to further study
    study_in    C: graduates from outside R who asked to come into R for further study
    studied     A: of both, whose transfer is completed
    society     E: of G(R), all others except those with an excluded reason; whoever has started nothing
                counts here
    society_in  F: graduates from outside R who asked to come into R otherwise
    settled     D: of both, whose transfer is completed
    excluded    of G(R), with an excluded reason
    idle        of G(R): nothing started
    open        of G(R): under way
    ended       of G(R): withdrawn, rejected or returned
    completed   of G(R): completed; these four are the stages (STAT-15)

SX = A / (B + C), XS = D / (E + F); without a denominator there is no rate (STAT-14). A move into the own
school's mobile branch completes nothing (TYPE-05), nor does being retained (STAT-11).
"""

from __future__ import annotations

from typing import NamedTuple

from shared.errors import Refusal


class Counted(NamedTuple):
    """The figures of an organisation's subtree."""

    org_id: int
    name: str
    kind: str
    study: int
    study_in: int
    studied: int
    society: int
    society_in: int
    settled: int
    excluded: int
    idle: int
    open: int
    ended: int
    completed: int


FIGURES = Counted._fields[3:]
STAGES = ("idle", "open", "ended", "completed")
MEASURES = ("waiting", "due_soon", "overdue", "assigning")
"""What the board says of the nodes of a subtree (BEY-18)."""


def check_figure(figure: str) -> Refusal | None:
    """Return why there is nobody behind a figure: there is none of that name (STAT-15)."""
    return None if figure in FIGURES else Refusal("unknown_figure")


def rate(done: int, *of: int) -> float | None:
    """Return a share, or None where there is nothing to take it of (STAT-14)."""
    return done / sum(of) if sum(of) else None


def responsible(stage: str, rate_of: str, state: str | None) -> str:
    """Return with whom a graduate's transfer rests (OPS-06).

    With the `school` until it is started and let go, then with the `new_school` or the `receiver`; empty
    when it is completed.
    """
    if stage == "completed":
        return ""
    if stage in ("idle", "ended") or state == "pending_out":
        return "school"
    return "new_school" if rate_of == "SX" else "receiver"


def contribution(
    rate_of: str, stage: str, requested: bool, inside_origin: bool, inside_target: bool
) -> dict[str, int]:
    """Return what one graduate adds to the figures of a region; the model that tests hold the SQL to.

    Args:
        rate_of: `SX`, `XS` or empty for an excluded reason.
        stage: One of STAGES.
        requested: A transfer into the target counts there (open, returned by the clock or completed).
        inside_origin: The branch of graduation lies in the region.
        inside_target: The target does.

    """
    found: dict[str, int] = {}
    # Whoever graduated in the region counts there once, wherever they go: inside comes before target.
    if inside_origin:
        found[stage] = 1
        found[{"SX": "study", "XS": "society"}.get(rate_of, "excluded")] = 1
    elif inside_target and requested and rate_of:
        found["study_in" if rate_of == "SX" else "society_in"] = 1
    if stage == "completed" and rate_of and found:
        found["studied" if rate_of == "SX" else "settled"] = 1
    return found
