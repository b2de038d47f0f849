"""Annexes B and C of the catalogue, copied by hand: the paths, and every cell of the table of states."""

OUT, IN, PROVINCE, ASSIGN = "pending_out", "pending_in", "pending_province", "pending_assign"
REMOTE, HANDOVER, ARRIVAL = "pending_remote", "pending_handover", "pending_arrival"

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
    # one of the two sides stands in Beijing, Guangdong or Fujian (FED-01, FED-08)
    ("source", "peer", [REMOTE, HANDOVER]),
    ("member", "peer", [OUT, REMOTE, HANDOVER]),
    ("peer", "branch", [IN, ARRIVAL]),
    ("peer", "committee", [IN, ASSIGN, ARRIVAL]),
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
    # across a border: what the other system says, and members of the record that came (FED-09..11)
    (REMOTE, "accepted"): "next",
    (REMOTE, "refused_there"): "rejected",
    (REMOTE, "clock_return"): "returned",
    (REMOTE, "withdraw"): "withdrawn",
    (HANDOVER, "integrated"): "next",
    (HANDOVER, "sent_back"): "rejected",
    (HANDOVER, "refused_there"): "rejected",
    (IN, "called_off"): "withdrawn",
    (ASSIGN, "called_off"): "withdrawn",
    (ARRIVAL, "called_off"): "withdrawn",
    (ARRIVAL, "record_taken"): "next",
    (ARRIVAL, "record_refused"): "rejected",
    (ARRIVAL, "given_up"): "rejected",
}
