"""What the benchmark loads: an organisation tree of its own, administrators with tokens, and many members."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from shared.identity import Signer
from tests.installation import Installation

SCHOOLS = 40
BRANCHES_PER_SCHOOL = 25
TARGETS = 40
FIRST_MEMBER = 1_000_000
"""Id of the first loaded member; member n sits in class branch 1000 + n % 1000."""
SUPERIOR = 10_000
"""Person ids of administrators: organisation id + this. Members have higher ids."""


@dataclass(frozen=True)
class School:
    """A source and where its graduates go.

    The source is a committee with class branches; the graduates go to a committee, with the branch
    they end in.
    """

    committee: int
    branches: list[int]
    target: int
    target_branch: int
    source_token: str
    target_token: str


def schools(keys: Any) -> list[School]:
    """Return the schools with valid tokens of the administrators on both sides."""
    signer = Signer(keys)

    def token(org: int) -> str:
        return signer.sign("person", timedelta(hours=3), sub=str(SUPERIOR + org))[0]

    made = []
    for n in range(SCHOOLS):
        committee, target = 100 + n, 200 + n % TARGETS
        made.append(
            School(
                committee,
                [1000 + n * BRANCHES_PER_SCHOOL + k for k in range(BRANCHES_PER_SCHOOL)],
                target,
                5000 + target,
                token(committee),
                token(target),
            )
        )
    return made


def organisations(installation: Installation) -> None:
    """Write the tree and its administrators into the read models of members and transfers.

    The events of orgs would write the same.
    """
    rows = [(1, None, "1.", "leading_body", "ordinary"), (9, 1, "1.9.", "branch", "vault")]
    administrators = []
    for n in range(SCHOOLS):
        committee = 100 + n
        rows.append((committee, 1, f"1.{committee}.", "committee", "ordinary"))
        administrators.append(committee)
        for k in range(BRANCHES_PER_SCHOOL):
            branch = 1000 + n * BRANCHES_PER_SCHOOL + k
            rows.append((branch, committee, f"1.{committee}.{branch}.", "branch", "graduate"))
            administrators.append(branch)
    for n in range(TARGETS):
        target = 200 + n
        rows.append((target, 1, f"1.{target}.", "committee", "ordinary"))
        rows.append((5000 + target, target, f"1.{target}.{5000 + target}.", "branch", "ordinary"))
        administrators.append(target)
    for service in ("members", "transfers"):
        with installation.engine(service).begin() as tx:
            tx.execute(
                sa.text("""
                    INSERT INTO org_directory (
                        org_id, parent_id, path, kind, purpose,
                        province, system, provincial_id, vault_id, name, version, deleted
                    ) VALUES (
                        :id, :parent, :path, :kind, :purpose,
                        '42', 'national', 1, 9, :path, 1, false
                    )"""),
                [dict(zip(("id", "parent", "path", "kind", "purpose"), row, strict=True)) for row in rows],
            )
            tx.execute(
                sa.text(
                    "INSERT INTO administrator_directory (org_id, person_id, active, version)"
                    " VALUES (:org, :person, true, 1)"
                ),
                [{"org": org, "person": SUPERIOR + org} for org in administrators],
            )


def people(installation: Installation, count: int) -> float:
    """Load `count` members into the class branches; return the seconds it took."""
    started = time.monotonic()
    fill(installation.engine("members"), count)
    return time.monotonic() - started


_PEOPLE = sa.text(f"""
    INSERT INTO people (
        person_id, name,
        id_sealed, id_index,
        ethnic_group, joined_on, development_number, branch_id, graduate
    )
    SELECT
        {FIRST_MEMBER} + n, '张' || n,
        sha256(int8send(n)) || sha256(int8send(-n)), sha256(int8send(n)),
        '汉族', DATE '2019-05-04', '2019' || n, 1000 + n % {SCHOOLS * BRANCHES_PER_SCHOOL}, true
    FROM generate_series(:start, :end) AS n""")
_STAYS = sa.text("""
    INSERT INTO memberships (person_id, branch_id, began_at)
    SELECT person_id, branch_id, now() - interval '4 years' FROM people
    WHERE person_id >= :start""")


def fill(engine: sa.Engine, count: int) -> None:
    """Fill `people` and `memberships`.

    Filled by PostgreSQL itself: the sealed numbers are as long as real ones but hold nothing, since
    no step of a transfer opens them.
    """
    for start in range(0, count, 200_000):
        with engine.begin() as tx:
            tx.execute(_PEOPLE, {"start": start, "end": min(count, start + 200_000) - 1})
            tx.execute(_STAYS, {"start": FIRST_MEMBER + start})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as tx:
        tx.execute(sa.text("VACUUM ANALYZE"))


def branch_of(member: int) -> int:
    """Return the class branch of a loaded member."""
    return 1000 + (member - FIRST_MEMBER) % (SCHOOLS * BRANCHES_PER_SCHOOL)
