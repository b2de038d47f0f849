"""What a bridge tells comes over the broker, and what it is told goes out there (FED-10).

The transfers service runs as it does in an installation; the test is the bridge, and plays members.
"""

import time
import uuid
from contextlib import closing

import kombu
import msgspec
import pytest
import sqlalchemy as sa

from shared import clock, directory
from shared.bus.publisher import Message, Publisher
from shared.messages.federation import PeerCalledOff, PeerRequested
from shared.messages.members import MemberReserved
from shared.messages.orgs import OrgChanged
from tests.installation import AMQP_URI, TOPOLOGY, Installation
from tests.transfers.crossings.factories import MIRRORED, PROVINCES, THERE
from tests.transfers.factories import BRANCH, ORGS, VAULT

TOLD = ("arrival_answered", "crossing_ended")


@pytest.fixture(scope="module")
def house(keys):
    """An installation of the transfers service, which knows the trees of two systems."""
    rows = [(*row[:4], "national") for row in ORGS] + MIRRORED
    with closing(Installation(keys)) as made:
        made.create()
        with made.engine("transfers").begin() as tx:
            directory.on_org_changed(
                tx,
                [
                    OrgChanged(
                        org_id=org_id,
                        parent_id=parent,
                        path=path,
                        kind=kind,
                        purpose="ordinary",
                        province=PROVINCES.get(system, "42"),
                        system=system,
                        provincial_id=1,
                        vault_id=VAULT,
                        name=str(org_id),
                        version=1,
                        deleted=False,
                    )
                    for org_id, parent, path, kind, system in rows
                ],
            )
        made.start("transfers")
        yield made


@pytest.fixture
def heard(house):
    """A queue of what the service tells the bridge."""
    with kombu.Connection(AMQP_URI) as connection:
        exchange = TOPOLOGY.exchange("transfers")
        queue = kombu.Queue(
            f"{TOPOLOGY.prefix}bridge.{uuid.uuid4().hex[:8]}",
            [kombu.binding(exchange, routing_key=topic) for topic in TOLD],
            exclusive=True,
            auto_delete=True,
        )(connection.default_channel)
        queue.declare()
        waiting = []
        yield lambda: _next(queue, waiting)


def _next(queue, waiting, seconds=20):
    """Return the next item that was told, with its topic; a message may have several."""
    ends = time.monotonic() + seconds
    while not waiting:
        message = queue.get(no_ack=True)
        if message is not None:
            topic = message.delivery_info["routing_key"]
            waiting += [(topic, item) for item in msgspec.json.decode(message.body)]
            continue
        assert time.monotonic() < ends, "nothing was told"
        time.sleep(0.05)
    return waiting.pop(0)


def tell(publisher, item, message_id):
    """Publish an event as its service does."""
    body = msgspec.json.encode([item]).decode()
    publisher.publish([Message(item.publisher, item.topic(), message_id, body)])


def test_over_the_bus(house, heard):
    """FED-11: a request that comes again, as one message or another, starts one transfer and is answered."""
    command_id = uuid.uuid4()
    asked = PeerRequested(
        command_id=command_id,
        peer="BJ",
        member_id=501,
        source_branch_id=THERE,
        target_org_id=BRANCH,
        reason="further_study",
    )
    with closing(Publisher(house.settings)) as publisher:
        for message_id in ("federation:1", "federation:1", "federation:2"):
            tell(publisher, asked, message_id)
        answers = [heard(), heard()]
        one = answers[0][1]["transfer_id"]
        answer = {"member_id": 501, "peer": "BJ", "transfer_id": one, "code": ""}
        answer["command_id"] = str(command_id)
        assert answers == [("arrival_answered", answer)] * 2, "the same message is not handled again"
        tell(publisher, MemberReserved(transfer_id=one, member_id=501, name="王一"), "members:1")
        _wait(house, one, "pending_in")
        off = PeerCalledOff(transfer_id=one, peer="BJ", code="withdraw", note="本人放弃")
        tell(publisher, off, "federation:3")
        _wait(house, one, "withdrawn")

        other = msgspec.structs.replace(asked, command_id=uuid.uuid4(), target_org_id=1)
        tell(publisher, other, "federation:4")
        topic, item = heard()
        assert (topic, item["transfer_id"], item["code"]) == ("arrival_answered", None, "target_not_allowed")
    with house.engine("transfers").connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM transfers")) == 1


def _wait(house, transfer_id, state, seconds=20):
    """Wait until a transfer stands where it should."""
    wanted = sa.text("SELECT state FROM transfers WHERE transfer_id = :one")
    ends = time.monotonic() + seconds
    while True:
        with house.engine("transfers").connect() as tx:
            found = tx.scalar(wanted, {"one": transfer_id})
        if found == state:
            return
        assert time.monotonic() < ends, (found, state, clock.now())
        time.sleep(0.05)
