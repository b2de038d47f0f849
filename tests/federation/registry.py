"""Our people and our registry at one end of a bridge: who is a member here, as its messages say.

It stands for `members` and `transfers`, so that a bridge can be tried with nothing else running. Seals are
made and opened with joserfc.
"""

import dataclasses
import json
import random
from typing import Any

import msgspec
import sqlalchemy as sa
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from sqlalchemy.engine import Connection

from services.federation.handovers import Deed, Told, perform
from services.federation.protocol import Act, Side, Word
from services.federation.schemas import Offer, Record, Refused, SentBack
from shared import clock
from tests.federation.factories import End, example
from tests.peers.audit import Place

TABLES = """
    CREATE TABLE people (number text PRIMARY KEY, name text NOT NULL, state text NOT NULL,
        subject text NOT NULL);
    CREATE TABLE moves (nth bigserial PRIMARY KEY, number text NOT NULL, state text NOT NULL);
    CREATE TABLE cases (subject text PRIMARY KEY, number text NOT NULL, name text NOT NULL, record jsonb,
        refused_with text NOT NULL DEFAULT '')"""
PLACES = sa.text("""
    SELECT p.number, p.state, (SELECT max(nth) FROM moves m WHERE m.number = p.number) AS change
    FROM people p""")
REFUSES, SENDS_BACK = 0.1, 0.1


def seal(jwk: dict[str, Any], typ: str, content: dict[str, Any]) -> str:
    """Return what only the holder of a key opens."""
    key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key.thumbprint(), "typ": typ}
    return jwe.encrypt_compact(header, json.dumps(content).encode(), key, algorithms=["ECDH-ES", "A256GCM"])


def unseal(jwk: dict[str, Any], typ: str, text: str) -> dict[str, Any]:
    """Return what was sealed for us; empty where it does not open, or was sealed as something else."""
    key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "d")})
    try:
        found = jwe.decrypt_compact(text, key, algorithms=["ECDH-ES", "A256GCM"])
        content = json.loads(found.plaintext or b"")
    except (JoseError, ValueError):
        return {}
    assert found.headers().keys() == {"alg", "enc", "kid", "typ", "epk"}
    return content if (found.headers()["typ"], found.headers()["kid"]) == (typ, key.thumbprint()) else {}


class Registry:
    """Our members, and administrators who decide by a seed."""

    def __init__(self, end: End, ours: dict[str, Any], theirs: dict[str, Any], seed: int) -> None:
        self.end, self.ours, self.theirs, self.dice = end, ours, theirs, random.Random(seed)
        end.bridge = dataclasses.replace(end.bridge, tell=self.tell)
        with end.engine.begin() as tx:
            tx.execute(sa.text(TABLES))

    def close(self) -> None:
        """Throw away what is known of people."""
        with self.end.engine.begin() as tx:
            tx.execute(sa.text("DROP TABLE people, moves, cases"))

    def places(self) -> dict[str, Place]:
        """Return where everybody is, by identity number, as `tests.peers.audit` compares it."""
        with self.end.engine.begin() as tx:
            return {row.number: Place(row.state, row.change) for row in tx.execute(PLACES)}

    def settle(self, tx: Connection, number: str, name: str, subject: str = "") -> None:
        """Make somebody an active member here."""
        put = """
            INSERT INTO people VALUES (:number, :name, 'active', :subject)
            ON CONFLICT (number) DO UPDATE SET (state, subject) = ('active', excluded.subject)"""
        tx.execute(sa.text(put), {"number": number, "name": name, "subject": subject})
        tx.execute(
            sa.text("INSERT INTO moves (number, state) VALUES (:number, 'active')"), {"number": number}
        )

    def move(self, tx: Connection, subject: str, before: str, after: str, number: str = "") -> None:
        """Change where the member of a transfer is."""
        moved = """
            WITH moved AS (UPDATE people SET (state, subject) = (:after, :subject)
                WHERE state = :before AND (number = :number OR (:number = '' AND subject = :subject))
                RETURNING number, state)
            INSERT INTO moves (number, state) SELECT number, state FROM moved"""
        values = {"subject": subject, "before": before, "after": after, "number": number}
        tx.execute(sa.text(moved), values)

    def tell(self, tx: Connection, told: list[Told]) -> None:
        """Take what the peer says, in the transaction that has heard it."""
        self.end.told.extend(told)
        for one in told:
            if one.side is Side.SENDER and one.word is Word.INTEGRATED:
                self.move(tx, one.subject, "on_the_way", "gone")
            elif one.side is Side.SENDER and one.word in (Word.REFUSED, Word.SENT_BACK):
                self.move(tx, one.subject, "on_the_way", "active")
            elif isinstance(one.data, Offer):
                self.note(tx, one.subject, unseal(self.ours, "person+jwe", one.data.person))
            elif isinstance(one.data, Record):
                record = unseal(self.ours, "record+jwe", one.data.record)
                kept = sa.text("UPDATE cases SET record = CAST(:record AS jsonb) WHERE subject = :subject")
                tx.execute(kept, {"record": json.dumps(record), "subject": one.subject})

    def note(self, tx: Connection, subject: str, person: dict[str, Any]) -> None:
        """Keep who is meant by an offer."""
        is_same = person.get("subject") == subject
        values = {"number": person.get("number", "") if is_same else "", "name": person.get("name", "")}
        put = sa.text("INSERT INTO cases (subject, number, name) VALUES (:subject, :number, :name)")
        tx.execute(put, {"subject": subject, **values})

    # ---- people ------------------------------------------------------------------------------------

    def leave(self, number: str, name: str, subject: str, to: dict[str, str]) -> None:
        """Offer a member of ours."""
        person = seal(self.theirs, "person+jwe", {"subject": subject, "number": number, "name": name})
        offer = example(Word.OFFER)
        assert isinstance(offer, Offer)
        offer = msgspec.convert({**msgspec.to_builtins(offer), "person": person, "to_org": to}, Offer)
        with self.end.engine.begin() as tx:
            self.note(tx, subject, {"subject": subject, "number": number, "name": name})
            assert perform(tx, self.end.bridge, [Deed(subject, Act.OFFER, offer)], clock.now()) == [True]

    def turn(self) -> None:
        """Let our people do what waits for them, each time to some of the transfers."""
        with self.end.engine.begin() as tx:
            query = """
                SELECT h.subject, h.state, h.heard, c.number, c.name, c.record FROM handovers h
                JOIN cases c ON c.subject = h.subject
                WHERE h.state IN ('deciding', 'awaited', 'offered') ORDER BY h.subject"""
            for row in tx.execute(sa.text(query)).all():
                if self.dice.random() < 0.5 and (deed := self.choose(tx, row)) is not None:
                    self.do(tx, row, deed)

    def do(self, tx: Connection, row: Any, deed: Deed) -> None:
        if perform(tx, self.end.bridge, [deed], clock.now()) != [True]:
            return
        if deed.act is Act.TAKE:
            self.settle(tx, row.number, row.name, row.subject)
        elif deed.act is Act.HAND_OVER:
            self.move(tx, row.subject, "active", "on_the_way", row.number)
        elif isinstance(deed.data, Refused | SentBack):
            ended = sa.text("UPDATE cases SET refused_with = :reason WHERE subject = :subject")
            tx.execute(ended, {"reason": deed.data.reason, "subject": row.subject})

    def choose(self, tx: Connection, row: Any) -> Deed | None:
        """Return what is done at a transfer now."""
        if row.state == "deciding":
            reason = self.objection(tx, row)
            if reason == "wait":
                return None
            if not reason and self.dice.random() < REFUSES:
                reason = "not_here"
            data = Refused(reason=reason) if reason else example(Word.ACCEPTED)
            return Deed(row.subject, Act.REFUSE if reason else Act.ACCEPT, data)
        if row.state == "offered" and Word.ACCEPTED in row.heard:
            content = {"subject": row.subject, "number": row.number, "name": row.name}
            return Deed(row.subject, Act.HAND_OVER, Record(record=seal(self.theirs, "record+jwe", content)))
        if row.state == "awaited" and Word.RECORD in row.heard:
            reason = self.fault_of_record(row)
            if not reason and self.dice.random() < SENDS_BACK:
                reason = "identity_differs"
            data = SentBack(reason=reason) if reason else example(Word.INTEGRATED)
            return Deed(row.subject, Act.SEND_BACK if reason else Act.TAKE, data)
        return None

    def fault_of_record(self, row: Any) -> str:
        """Return why a record goes back; empty for none."""
        if not row.record or row.record.get("subject") != row.subject:
            return "record_unreadable"
        same = (row.record["number"], row.record["name"]) == (row.number, row.name)
        return "" if same else "identity_differs"

    def objection(self, tx: Connection, row: Any) -> str:
        """Return why somebody may not come; empty where they may, `wait` while they are leaving."""
        if not row.number:
            return "wrong_data"
        if not is_valid(row.number):
            return "identity_invalid"
        here = sa.text("SELECT state FROM people WHERE number = :number")
        if tx.scalar(here, {"number": row.number}) == "active":
            return "identity_active"
        others = """
            SELECT min(h.side) FROM handovers h JOIN cases c ON c.subject = h.subject
            WHERE c.number = :number AND h.subject <> :subject
            AND h.state IN ('offered', 'handover', 'awaited')"""
        side = tx.scalar(sa.text(others), {"number": row.number, "subject": row.subject})
        return "transfer_open" if side == Side.RECEIVER else "wait" if side else ""


def is_valid(number: str) -> bool:
    """Return whether the last place of an identity number is that of the rest (GB 11643)."""
    total = sum(int(digit) * 2 ** (17 - nth) for nth, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]
