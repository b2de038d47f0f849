"""The short form of `make attack`: each operation a few times in each role, then a look at what is stored."""
from __future__ import annotations

import pytest

from tests.attack import Budget, contract
from tests.attack.audit import audit
from tests.attack.target import target


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with target(tmp_path_factory.mktemp("keys")) as made:
        yield made


@pytest.mark.timeout(200)
def test_nothing_that_is_sent_is_an_error(system):
    """Whatever stands in a request, in any role, is answered, and never with 5xx; nothing that a contract keeps out is stored, and every process lives on."""
    outcome = contract.run(system, Budget(minutes=1, cases=1), ["fuzzing"])
    assert outcome.faults == [], outcome.faults[:5]
    assert system.dead() == [] and system.answers()
    assert audit(system) == []


def test_the_audit_sees(system):
    """The look at what is stored is no look past it: a control character, a long text and a message set aside are found."""
    with system.engine("orgs").begin() as tx:
        tx.exec_driver_sql("UPDATE orgs SET phone = chr(7), short_name = repeat('长', 101) WHERE org_id = 1")
        tx.exec_driver_sql("INSERT INTO failed_messages (message_id, topic, body, error, failed_at) VALUES ('1', 'org_changed', '[]', 'x', now())")
    assert audit(system) == ["orgs.orgs.phone: control characters in 1 rows", "orgs.orgs.short_name holds 101 characters, 100 at most", "orgs: 1 of org_changed set aside: x"]
