"""Annexes B and C of the catalogue, copied by hand: the paths, and every cell of the table of states."""

OUT, IN, PROVINCE, ASSIGN = "pending_out", "pending_in", "pending_province", "pending_assign"

# Annex B: who starts, where to, which nodes
ANNEX_B = [
    ("source", "branch", [IN]),
    ("source", "committee", [IN, ASSIGN]),
    ("target", "branch", [OUT]),
    ("target", "committee", [OUT, ASSIGN]),
    ("member", "branch", [OUT, IN]),
    ("member", "committee", [OUT, IN, ASSIGN]),
    ("source", "special", [PROVINCE]),
    ("member", "special", [OUT, PROVINCE]),
    ("batch", "branch", []),
    # beyond Annex B: the common superior has decided (BEY-06)
    ("ruling", "branch", []),
    ("ruling", "committee", [ASSIGN]),
]

# Annex C: every cell that leads anywhere; `next` is the next node of the path
ANNEX_C = {
    ("checking", "reserved"): "next",
    ("checking", "unavailable"): "refused",
    (OUT, "approve"): "next",
    (OUT, "reject"): "rejected",
    (OUT, "withdraw"): "withdrawn",
    (OUT, "clock_return"): "returned",
    (OUT, "clock_approve"): "next",
    (IN, "approve"): "next",
    (IN, "reject"): "rejected",
    (IN, "withdraw"): "withdrawn",
    (IN, "clock_return"): "returned",
    (IN, "clock_approve"): "next",
    (PROVINCE, "approve"): "next",
    (PROVINCE, "reject"): "rejected",
    (PROVINCE, "withdraw"): "withdrawn",
    (PROVINCE, "clock_approve"): "next",
    (ASSIGN, "assign"): "next",
    (ASSIGN, "withdraw"): "withdrawn",
    ("moving", "moved"): "completed",
}
