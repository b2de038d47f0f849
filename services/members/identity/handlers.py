"""Checks of name and ID number with the citizen-identity service (MEM-15..20).

They are made in batches, again and again until they pass. The service is behind one small
interface, `Checker`; the built-in implementation speaks JSON over HTTP to the address of a setting.
Without one everybody stays unchecked, which limits nothing (MEM-18).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import requests

from services.members import settings
from services.members.identity import store
from services.members.sealing.keys import keys
from shared import background, clock, db
from shared.bus.service import Machinery

BATCH = 500
"""People of one request."""
AGAIN_AFTER = timedelta(days=30)
"""How long a check that did not pass, or was not answered, is left alone (MEM-18, MEM-20)."""
PAUSE = timedelta(hours=1)
"""How long a batch rests that the service did not answer."""
LOOK_AGAIN_SECONDS = 300.0
SECONDS = 30.0
"""How long an answer is waited for."""

log = logging.getLogger("tuanqiao.identity")


class Citizen(NamedTuple):
    """What is compared, and nothing else (MEM-16)."""

    ref: str
    name: str
    id_number: str


Checker = Callable[[Sequence[Citizen]], Mapping[str, bool]]
"""Says by `ref` whether name and number belong together; a person left out could not be checked.

Raises `OSError` if the service does not answer.
"""


def over_http(url: str, token: str = "") -> Checker:
    """Return a checker that speaks JSON over HTTP.

    It posts `{"people": [{ref, name, id_number}]}` and reads `{"results": [{ref, match}]}`.
    """

    def check(people: Sequence[Citizen]) -> Mapping[str, bool]:
        answer = requests.post(
            url,
            json={"people": [one._asdict() for one in people]},
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=SECONDS,
        )
        answer.raise_for_status()
        asked = {one.ref for one in people}
        return {
            str(one["ref"]): bool(one["match"])
            for one in answer.json()["results"]
            if str(one.get("ref")) in asked and "match" in one
        }

    return check


def _opened(row: store.Unchecked) -> Citizen | None:
    """Return the person to check; None if the number cannot be opened, which holds up nobody else."""
    try:
        return Citizen(str(row.person_id), row.name, keys.seal.open(row.id_sealed))
    except Exception as error:
        log.error("the sealed number of person %d cannot be opened: %s", row.person_id, type(error).__name__)
        return None


def check_batch(database: db.Database, checker: Checker) -> int:
    """Check the people who wait longest; return how many were asked for.

    They are put back in the line before the service is asked: what kills the process, or is not
    answered at all, is asked for again after an hour and not at once.
    """
    now = clock.now()
    with database.transaction(tells=False) as tx:
        rows = store.to_check(tx, now - AGAIN_AFTER, now - AGAIN_AFTER + PAUSE, BATCH)
        people = [citizen for row in rows if (citizen := _opened(row)) is not None]
    if people:
        answers = checker(people)
        with database.transaction() as tx:
            store.set_checks(
                tx,
                [
                    {
                        "person_id": int(one.ref),
                        "result": {True: "passed", False: "failed", None: None}[answers.get(one.ref)],
                    }
                    for one in people
                ],
                now,
            )
    return len(people)


def check_turn(machinery: Machinery) -> float | None:
    """Check the next people not checked yet; between batches it sleeps, since nobody waits for this."""
    here = settings.of(machinery.database.engine)
    if not here.identity_url:
        return None
    try:
        asked = check_batch(machinery.database, over_http(here.identity_url, here.identity_token))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise background.Away(f"the identity service: {type(error).__name__}") from error
    # a full batch means that there are more
    return 1.0 if asked == BATCH else None


CHECK = background.Loop("identity", check_turn, LOOK_AGAIN_SECONDS)


def on_day_began(tx: Any, items: list[Any]) -> None:
    """Look for people who are due again."""
    CHECK.wake.set()
