"""The small tree of organisations that the tests of members stand in, its people, and what transfers ask."""

import uuid
from datetime import UTC, date, datetime

from services.members.entering import handlers as entering
from shared.bus.service import Asked
from shared.identity import Actor
from shared.messages.members import Admission
from shared.messages.transfers import BranchAssigned, TransferRequested
from system.synthetic import check_digit

ROOT, SCHOOL, CLASS, TARGET, BRANCH, COLLEGE, DEEP, XINJIANG = 1, 2, 3, 4, 5, 6, 7, 8

ORGS = [  # id, parent, path, kind, province
    (ROOT, None, "1.", "leading_body", "42"),
    (SCHOOL, 1, "1.2.", "committee", "42"),
    (CLASS, 2, "1.2.3.", "branch", "42"),
    (TARGET, 1, "1.4.", "committee", "42"),
    (BRANCH, 4, "1.4.5.", "branch", "42"),
    (COLLEGE, 2, "1.2.6.", "general_branch", "42"),
    (DEEP, 6, "1.2.6.7.", "branch", "42"),
    (XINJIANG, 1, "1.8.", "branch", "65"),
]

ONE, TWO, THREE = 1001, 1002, 1003

AT = datetime(2026, 6, 30, 12, tzinfo=UTC)


def admin(org_id: int) -> Actor:
    """Return the administrator of an organisation, acting for it."""
    return Actor(100 + org_id, org_id)


def number(n: int, year: int = 2005) -> str:
    """Return the n-th ID number of a year of birth, with its check digit."""
    first = f"420106{year}0105{n:03d}"
    return first + check_digit(first)


def person(n: int, branch=CLASS, **values) -> Admission:
    """Return the entry of the n-th person into a branch."""
    return Admission(
        **{
            "command_id": uuid.uuid4(),
            "branch_id": branch,
            "name": f"王{'一二三四五六七八九'[n % 9]}",
            "id_number": number(n),
            "phone": f"1990000{n:04d}",
            "ethnic_group": "汉族",
            "joined_on": date(2020, 5, 4),
            "development_number": f"2020{n:08d}",
            **values,
        }
    )


def request(transfer_id, member=ONE, source=CLASS, target=TARGET, kind="any") -> TransferRequested:
    """Return the request that a transfer sends to members when it begins."""
    return TransferRequested(
        transfer_id=transfer_id,
        member_id=member,
        source_branch_id=source,
        target_org_id=target,
        reason_kind=kind,
    )


def assigned(transfer_id, member=ONE, branch=BRANCH) -> BranchAssigned:
    """Return what a transfer says when the new branch is known."""
    return BranchAssigned(transfer_id=transfer_id, member_id=member, branch_id=branch, at=AT)


def admit(tx, *items, org=CLASS):
    """Enter people, by an organisation's administrator."""
    return entering.admit(tx, [Asked(item, admin(org)) for item in items])
