"""The bridges on the bus: a service for each peer, `federation_bj` and the like, all of one kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.federation import (
    arriving,
    asking,
    door,
    homes,
    leaving,
    places,
    quarantine,
    settings,
    telling,
)
from services.federation.calling import Caller, NoAnswer
from services.federation.courier import LOOK_AGAIN_SECONDS, Courier
from services.federation.directory import Reader
from services.federation.handovers import Bridge
from services.federation.operating import handlers as operating
from services.federation.operating import views
from services.federation.operating.days import LOOK_AGAIN_SECONDS as DAYS_SECONDS
from services.federation.operating.days import Comparing
from services.federation.operating.desk import log_of
from services.federation.reconcile import Reconciler
from shared import clock, directory, green, sessions_ended
from shared.background import Away, Loop
from shared.bus.service import BusService, Machinery
from shared.db import Database
from shared.inbox import Handler
from shared.messages import members, orgs, transfers
from shared.messages.words import PEERS
from shared.settings import bridge

LOOK_SECONDS = 60.0
"""Between two looks whether the peer answers."""
ASK_SECONDS = 15.0
"""Between two looks for what is missing and who is on the way."""
READ_AGAIN = timedelta(hours=24)
"""After which time the peer's directory is read anew."""
READ_SECONDS = 60.0

Handle = Callable[[Connection, Bridge, list[Any]], None]


def of_peer(handle: Handle) -> Handler:
    """Return a handler of events that are told to all bridges: it takes those about its own peer."""

    def taken(tx: Connection, items: list[Any]) -> None:
        made = settings.of(tx).bridge
        mine = [item for item in items if item.peer == made.peer]
        if mine:
            handle(tx, made, mine)

    return taken


def on_org_changed(tx: Connection, items: list[orgs.OrgChanged]) -> None:
    """Keep what is known of organisations: ours to show the peer, the peer's for what messages name."""
    places.on_org_changed(tx, items, clock.now())


def on_crossing_ended(tx: Connection, made: Bridge, items: list[transfers.CrossingEnded]) -> None:
    """Say to the peer that a transfer has ended here, whichever way it went."""
    for handle, some in (
        (arriving.on_crossing_ended, [item for item in items if item.arrival]),
        (leaving.on_crossing_ended, [item for item in items if not item.arrival]),
    ):
        if some:
            handle(tx, made, some)


class Federation(BusService):
    """Hands members over to one other system and takes them from there; `SERVICES` has one for each."""

    peer: ClassVar[str]
    events = {
        orgs.OrgChanged: on_org_changed,
        orgs.AdministratorChanged: directory.on_administrator_changed,
        members.SessionEnded: sessions_ended.on_session_ended,
        transfers.RemoteOpened: of_peer(operating.on_remote_opened),
        members.MemberOffered: of_peer(leaving.on_member_offered),
        members.RecordSealed: of_peer(leaving.on_record_sealed),
        members.ArrivalKnown: of_peer(arriving.on_arrival_known),
        members.HomeTold: of_peer(homes.on_home_told),
        members.ArrivalUnfit: of_peer(arriving.on_arrival_unfit),
        transfers.ArrivalAnswered: of_peer(arriving.on_arrival_answered),
        transfers.ArrivalWaits: of_peer(arriving.on_arrival_waits),
        transfers.ArrivalAccepted: of_peer(arriving.on_arrival_accepted),
        transfers.ArrivalCompleted: of_peer(arriving.on_arrival_completed),
        transfers.CrossingEnded: of_peer(on_crossing_ended),
    }
    commands = operating.COMMANDS
    queries = operating.QUERIES
    gauges = staticmethod(views.gauges)

    @classmethod
    def prepare(cls, machinery: Machinery) -> None:
        """Open the door, and have the courier woken by whatever is committed."""
        own = settings.of(machinery.engine)
        courier_loop = next(loop for loop in cls.loops if loop.name == "courier")

        def after_commit() -> None:
            machinery.relay.wake()
            courier_loop.wake.set()

        machinery.database.after_commit = after_commit
        machinery.courier = Courier(
            own.bridge, machinery.database, own.address, receipted=telling.receipts(own.peer)
        )
        caller = Caller(own.address)
        machinery.reader = Reader(own.bridge, machinery.database, caller)
        reconciler = Reconciler(own.bridge, machinery.database, caller)
        machinery.comparing = Comparing(machinery.database, reconciler)
        if own.port:
            application = door.app(own.bridge, machinery.database, ready=Tree(machinery.database))
            try:
                listener = green.start(application, own.port, own.host, own.certificate)
            except OSError as error:
                raise RuntimeError(
                    f"the door of {own.peer} cannot listen on {own.host}:{own.port} ({error.strerror});"
                    f" TUANQIAO_{own.peer}_PORT says another port"
                ) from error
            machinery.on_stop.append(listener.close)


class Tree:
    """Whether a bridge knows our tree; asked until it does."""

    def __init__(self, database: Database) -> None:
        self._database, self._known = database, False

    def __call__(self) -> bool:
        """Return whether it does."""
        if not self._known:
            with self._database.reading() as tx:
                self._known = places.has_tree(tx)
        return self._known


def carry(machinery: Any) -> float | None:
    """Carry what waits for the peer; one turn of the courier."""
    wait: float | None = machinery.courier.turn()
    return wait


def look(machinery: Any) -> None:
    """Look whether the peer answers, also where nothing waits for it (FED-13)."""
    machinery.courier.look()


def ask(machinery: Any) -> None:
    """Ask the peer for what is missing, and apply what has waited for its directory."""
    made, now = settings.of(machinery.engine).bridge, clock.now()
    with machinery.database.transaction() as tx:
        asking.ask(tx, made, now)
        quarantine.apply_known(tx, made, now)


def compare(machinery: Any) -> float:
    """Compare a day with the peer that is wanted; one turn."""
    wait: float = machinery.comparing.turn()
    return wait


_LAST_READ = sa.text("""
    SELECT (SELECT max(ended_at) FROM readings) AS last, (SELECT reading_at FROM line) AS asked""")


def read_directory(machinery: Any) -> None:
    """Read the peer's directory once a day, and when somebody has asked for it.

    Raises:
        Away: The peer does not answer.

    """
    with machinery.database.reading() as tx:
        last, asked = tx.execute(_LAST_READ).one()
    is_late = last is None or last + READ_AGAIN <= clock.now()
    if not is_late and (asked is None or asked <= last):
        return
    try:
        machinery.reader.read()
    except NoAnswer as error:
        raise Away(f"the directory of {machinery.reader.bridge.peer}: {error}") from error


def service_of(peer: str) -> type[Federation]:
    """Return the class of the bridge to a peer; what runs beside its handlers is its own."""
    return type(
        "Service",
        (Federation,),
        {
            "__doc__": f"The bridge to {peer}.",
            "name": bridge(peer),
            "peer": peer,
            "read_settings": staticmethod(partial(settings.read, peer)),
            "loops": (
                Loop("courier", carry, LOOK_AGAIN_SECONDS),
                Loop("peer", look, LOOK_SECONDS),
                Loop("questions", ask, ASK_SECONDS),
                Loop("their_directory", read_directory, READ_SECONDS),
                Loop("comparing", compare, DAYS_SECONDS),
                log_of(peer).loop,
            ),
        },
    )


SERVICES = {bridge(peer): service_of(peer) for peer in PEERS}
"""The bridges by the names of their services."""
