"""For the rules alone: a request, a class of graduates, and one organisation of each destination."""

import uuid

from services.transfers.domain import OrgFacts
from shared.messages.transfers import RequestTransfer


def request(**values):
    return RequestTransfer(
        **{
            "command_id": uuid.uuid4(),
            "initiator": "source",
            "member_id": 1,
            "source_branch_id": 10,
            "target_org_id": 20,
            "reason": "further_study",
            "place_name": "某大学",
            "place_address": "某地",
            **values,
        }
    )


SCHOOL = "1.5."

CLASS = OrgFacts(
    10,
    11,
    "1.5.11.10.",
    "branch",
    "graduate",
    "42",
    "national",
    1,
    9,
    school_path=SCHOOL,
    industry="普通高等院校",
)

PLACES = {  # with the division codes that the seed gives (test_reasons.py asks the seed itself)
    "township": OrgFacts(
        20, 1, "1.20.", "committee", "township", "42", "national", 1, 9, division_code="420106001"
    ),
    "handover": OrgFacts(
        20, 1, "1.20.", "branch", "handover", "42", "national", 1, 9, division_code="420106001"
    ),
    "community": OrgFacts(
        20,
        1,
        "1.3.20.",
        "branch",
        "ordinary",
        "42",
        "national",
        1,
        9,
        division_code="420106001001",
        in_township=True,
    ),
    "own_mobile": OrgFacts(
        20,
        5,
        "1.5.20.",
        "branch",
        "floating",
        "42",
        "national",
        1,
        9,
        industry="普通高等院校",
        division_code="42",
    ),
    "own_abroad": OrgFacts(
        20,
        5,
        "1.5.20.",
        "branch",
        "study_abroad",
        "42",
        "national",
        1,
        9,
        industry="普通高等院校",
        division_code="42",
    ),
    "own_class": OrgFacts(
        20,
        5,
        "1.5.12.20.",
        "branch",
        "ordinary",
        "42",
        "national",
        1,
        9,
        industry="普通高等院校",
        division_code="42",
    ),
    "own_school": OrgFacts(
        20,
        5,
        "1.5.20.",
        "branch",
        "staff",
        "42",
        "national",
        1,
        9,
        industry="普通高等院校",
        division_code="42",
    ),
    "school": OrgFacts(
        20, 6, "1.6.20.", "committee", "ordinary", "31", "national", 1, 9, industry="普通高等院校"
    ),
    "employer": OrgFacts(
        20, 6, "1.6.20.", "committee", "ordinary", "31", "national", 1, 9, industry="国有企业"
    ),
    "other": OrgFacts(20, 6, "1.6.20.", "committee", "ordinary", "31", "national", 1, 9),
}
