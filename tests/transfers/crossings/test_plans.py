"""What bridges tell is looked up by item, whatever the statistics say and however much is open."""

from services.transfers.crossings import handlers as crossings
from shared import clock
from shared.messages import federation as told
from shared.messages.members import RecordRefused, RecordTaken
from tests.transfers.crossings.factories import THERE, come, wanted
from tests.transfers.factories import BRANCH, TARGET, decide, request, start
from tests.transfers.test_plans import ITEMS, explained, morning  # noqa: F401  (a fixture)


def _leaving(tx):
    ids = start(tx, *(request(target=THERE) for _ in range(ITEMS)))
    crossings.on_remote_receipted(
        tx, [told.RemoteReceipted(transfer_id=one, peer="BJ", at=clock.now()) for one in ids]
    )
    crossings.on_remote_progress(
        tx,
        [
            told.RemoteProgress(transfer_id=one, peer="BJ", seq=1, organisation="x", since=clock.now())
            for one in ids
        ],
    )
    crossings.on_remote_accepted(tx, [told.RemoteAccepted(transfer_id=one, peer="BJ") for one in ids])
    crossings.on_remote_refused(
        tx, [told.RemoteRefused(transfer_id=one, peer="BJ", code="other") for one in ids[:20]]
    )
    crossings.on_remote_sent_back(
        tx, [told.RemoteSentBack(transfer_id=one, peer="BJ", code="other") for one in ids[20:40]]
    )
    crossings.on_remote_integrated(
        tx, [told.RemoteIntegrated(transfer_id=one, peer="BJ", branch_id=THERE) for one in ids[40:]]
    )


def _coming(tx):
    ids = come(tx, *(wanted(BRANCH) for _ in range(ITEMS)))
    crossings.on_peer_called_off(
        tx, [told.PeerCalledOff(transfer_id=one, peer="BJ", code="other") for one in ids[:20]]
    )
    for one in ids[20:]:
        decide(tx, one, TARGET)
    crossings.on_arrival_given_up(
        tx, [told.ArrivalGivenUp(transfer_id=one, peer="BJ", person_id=1, note="") for one in ids[20:40]]
    )
    crossings.on_record_refused(
        tx, [RecordRefused(transfer_id=one, member_id=1, code="id_registered") for one in ids[40:60]]
    )
    crossings.on_record_taken(tx, [RecordTaken(transfer_id=one, member_id=1) for one in ids[60:]])


def test_what_a_bridge_tells_costs_what_it_is_long(morning):
    """BEY-05: a list from the bridge reads what it speaks of, and no more."""
    found = []
    with morning.connect() as tx, tx.begin() as undo:
        with explained(morning, found):
            _leaving(tx)
            _coming(tx)
        undo.rollback()
    assert not found, found
