"""The API as its callers use it: signing in, a request to start a transfer, waiting for a state."""

import time
import uuid

from system import world

COLLEGE = world.COLLEGE

CLASS = COLLEGE * 100 + 1

TARGET = 100_000_601  # the first college of the sixth university

NEW_CLASS = TARGET * 100 + 7


def sign_in(browser, town, org=None, person=None, password=world.PASSWORD):
    """Sign in through the API; return headers that act for `org`."""
    number = world.id_number_of(town, person or world.administrator_of(org))
    answer = browser.post("/api/v1/sessions", json={"id_number": number, "password": password})
    assert answer.status_code == 200, answer.json
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    if org:
        headers["X-Acting-Org"] = str(org)
    return headers


def request_of(member, **values):
    return {
        "command_id": str(uuid.uuid4()),
        "initiator": "source",
        "member_id": member,
        "source_branch_id": CLASS,
        "target_org_id": TARGET,
        "reason": "further_study",
        "place_name": "某大学",
        "place_address": "某地",
        **values,
    }


def wait_state(browser, headers, transfer_id, state, seconds=10):
    ends = time.monotonic() + seconds
    while True:
        found = browser.get(f"/api/v1/transfers/{transfer_id}", headers=headers).json
        if found.get("transfer", {}).get("state") == state:
            return found
        assert time.monotonic() < ends, found
        time.sleep(0.05)
