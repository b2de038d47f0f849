"""The person who signs in, and what that person does: signing in, a new password, a reset code."""

import uuid

import pytest

from services.members.accounts import handlers as accounts
from services.members.entering import handlers as entering
from shared.bus.service import Asked
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import Admission, ChangePassword, IssueResetCode, SignIn
from system.synthetic import check_digit

FIRST = "11010520050102001"

NUMBER = FIRST + check_digit(FIRST)

INITIAL, OWN = NUMBER[-8:], "Own-password-1"

NOBODY = "11010519491231002X"

PERSON = 7

BRANCH, SUPERIOR, ROOT = 3, 2, 1


def enter(tx, number=NUMBER, person_id=PERSON):
    """Enter the person with the id and the number given, as bulk loading does."""
    entering.seed_people(
        tx,
        [
            (
                person_id,
                Admission(
                    command_id=uuid.uuid4(),
                    branch_id=BRANCH,
                    name="王小明",
                    id_number=number,
                    phone="19900000001",
                ),
            )
        ],
    )


def sign_in(tx, password=INITIAL, number=NUMBER, address=""):
    """Sign in, by default with the initial password."""
    return accounts.sign_in(tx, SignIn(id_number=number, password=password, address=address), None)


def refused(tx, *args, **kwargs) -> str:
    """Return the code with which a sign-in is refused."""
    with pytest.raises(Refused) as caught:
        sign_in(tx, *args, **kwargs)
    return caught.value.code


def change(tx, old, new, session=""):
    """Change the password of the person, whose session can do nothing else."""
    return accounts.change_password(
        tx,
        ChangePassword(old_password=old, new_password=new, session=session),
        Actor(PERSON, restricted=True),
    )


def issue(tx, org=BRANCH, person=PERSON):
    """Make a reset code for the person, by an organisation's administrator."""
    return accounts.issue_reset_codes(
        tx, [Asked(IssueResetCode(command_id=uuid.uuid4(), member_id=person), Actor(100 + org, org))]
    )[0]
