"""The first administrator of an installation (ADM-10).

Made by the command line, or on the page of the first installation with its set-up token. Who may
run commands on the installation, or read its folder of keys, owns it; nobody else is asked to trust
them. The page exists only while nobody administers anything; the token is made with the keys and is
worth nothing afterwards. The right follows as an event, as with any registration code, and orgs
keeps its limit (ADM-01).
"""

from __future__ import annotations

import hmac
import os
import secrets
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from services.members import claims, domain, people, store
from services.members.accounts import handlers as accounts
from services.members.accounts import store as accounts_store
from services.members.founding import rules
from services.members.log import PostChange, log
from services.members.posts import rules as posts_rules
from services.members.posts import store as posts_store
from services.members.sealing.keys import keys
from shared import audit, clock, directory, outbox, throttle
from shared.errors import Refused
from shared.identity import Actor
from shared.messages.members import AdministratorRegistered, GetSetup, Registered, SetUp, Setup

TOKEN_FILE = "setup_token"
TOKEN_SHORTEST = 32
"""Characters of a set-up token, as `make_token` writes it."""
TOKENS_FROM_ADDRESS = 10
"""Wrong set-up tokens from an address in a quarter of an hour."""


def make_token(folder: Path) -> Path:
    """Write the token of the first installation into the folder of keys; return its file.

    A token that is there already, and whole, is kept.
    """
    path = folder / TOKEN_FILE
    if not _kept(path):
        path.unlink(missing_ok=True)
        # nobody but the owner may read the new one, not even while it is being written
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return path


def _kept(path: Path) -> str:
    """Return the token in a file; empty where there is none, or where writing it was cut off."""
    kept = path.read_text().strip() if path.exists() else ""
    return kept if len(kept) >= TOKEN_SHORTEST else ""


def _is_token(given: str) -> bool:
    kept = _kept(keys.folder / TOKEN_FILE)
    return bool(kept) and hmac.compare_digest(kept.encode(), given.strip().encode())


def get_setup(tx: Connection, request: GetSetup, actor: Actor | None) -> Setup:
    """Return whether the first administrator is still awaited, and whether there is a tree (ADM-10)."""
    return Setup(open=_is_open(tx), has_tree=bool(tx.scalar(_HAS_TREE)))


def set_up(tx: Connection, request: SetUp, actor: Actor | None) -> Registered:
    """Make the first administrator, for whoever holds the set-up token (ADM-10).

    Of two calls at the same moment one makes it.

    Raises:
        Refused: `setup_closed` once anybody holds a post, `setup_token_wrong`, `too_many_attempts`,
            `unknown_org` where no tree was loaded, and what is wrong with the data.

    """
    limits = throttle.of_address(request.address, "set-up from", TOKENS_FROM_ADDRESS)
    throttle.refuse_while_closed(tx, limits)
    tx.execute(_ONE_AT_A_TIME)
    is_open, is_token = _is_open(tx), _is_token(request.token)
    if is_open and not is_token:
        throttle.count(tx, limits)
    refusal = rules.check_token(is_open, is_token) or domain.check_new_password(
        request.password, domain.normalise_id(request.id_number)
    )
    if refusal is not None:
        raise Refused.of(refusal)
    return make(
        tx,
        request.name,
        request.id_number,
        request.phone,
        request.org_id or None,
        password=request.password,
        ref="first installation",
    )


def make(
    tx: Connection,
    name: str,
    id_number: str,
    phone: str,
    org_id: int | None,
    *,
    post: str = "",
    password: str = "",
    force: bool = False,
    ref: str = "command line",
) -> Registered:
    """Make a person an administrator of an organisation that has none, by default of the root.

    Without a password the person opens the account by a code. Repeated for the same person it
    changes nothing.

    Raises:
        Refused: `unknown_org`, `mirrored`, `has_administrators` unless `force`, `too_many_administrators`,
            `name_differs`, `post_unknown`, `secretary_in_post`, and what is wrong with name and
            number.

    """
    tx.execute(_ONE_AT_A_TIME)
    org = _org(tx, org_id)
    person_id = _person(tx, name, id_number, phone, password)
    made = Registered(person_id=person_id, org_id=org.org_id, org_name=org.name)
    holders = set(tx.scalars(_HOLDERS, {"org": org.org_id}))
    if person_id in holders:
        return made
    refusal = rules.check_room(org.kind, len(holders), force)
    if refusal is not None:
        raise Refused.of(refusal)
    _give_post(tx, org, person_id, post, ref)
    log.append(
        tx, [audit.Entry(kind="administrator.first", place_id=org.org_id, persons=[person_id], ref=ref)]
    )
    outbox.emit(tx, [AdministratorRegistered(org_id=org.org_id, person_id=person_id)])
    return made


def _org(tx: Connection, org_id: int | None) -> directory.Org:
    """Return an organisation, by default the root."""
    org_id = org_id or tx.scalar(_ROOT)
    org = directory.find(tx, [org_id]).get(org_id) if org_id else None
    if org is None:
        raise Refused("unknown_org")
    if directory.of_others(tx, [org.org_id]):
        raise Refused("mirrored")
    return org


def _give_post(tx: Connection, org: directory.Org, person_id: int, post: str, ref: str) -> None:
    """Give a person the post that goes with the right; who holds one there keeps it (ADM-02)."""
    posts = {row.person_id: row.post for row in posts_store.posts_of(tx, [org.org_id])}
    if person_id in posts:
        return
    has_secretary = "secretary" in posts.values()
    refusal = rules.check_post(org.kind, post, has_secretary)
    if refusal is not None:
        raise Refused.of(refusal)
    given: PostChange = {
        "org_id": org.org_id,
        "person_id": person_id,
        "post": post or rules.first_post(org.kind, has_secretary),
        "changed_by": None,
        "ref": ref,
    }
    posts_store.lock(tx, [org.org_id])
    posts_store.set_posts(tx, [given], clock.now())


def code_for(tx: Connection, person_id: int) -> tuple[str, datetime] | None:
    """Return a code with which the person chooses a password, and until when; None if there is one."""
    account = accounts_store.account(tx, person_id)
    if account is not None and account.password_hash:
        return None
    return accounts.issue_code_by_hand(tx, person_id)


def _person(tx: Connection, name: str, id_number: str, phone: str, password: str) -> int:
    """Return the person with a name and a number, entered if nobody has them."""
    number, name = domain.normalise_id(id_number), domain.clean_name(name)
    index = keys.seal.index(number)
    known = None
    refusal = posts_rules.check_new(name, number, ends=False, today=clock.today())
    if refusal is None:
        known = store.known(tx, [index]).get(index)
    if known is not None:
        refusal = rules.check_known(known, name, bool(password))
    if refusal is not None:
        raise Refused.of(refusal)
    if known is not None:
        if known.claimed:
            claims.yield_to(tx, [people.new_person(name, number, phone, "")])
        return known.person_id
    password_hash = accounts.HASHER.hash(password) if password else None
    made = store.add(tx, [people.new_person(name, number, phone, "")], clock.now(), password_hash, tail=0)
    if index not in made:
        # entered elsewhere between the look and the entry: found by now, and checked like anybody found
        return _person(tx, name, id_number, phone, password)
    return made[index]


def _is_open(tx: Connection) -> bool:
    return not tx.scalar(_SOMEBODY)


_ONE_AT_A_TIME = sa.text("SELECT pg_advisory_xact_lock(hashtext('first administrator'))")
_SOMEBODY = sa.text(
    "SELECT EXISTS (SELECT 1 FROM administrator_directory WHERE active) OR EXISTS (SELECT 1 FROM posts)"
)
_HAS_TREE = sa.text("SELECT EXISTS (SELECT 1 FROM org_directory)")
_ROOT = sa.text(
    "SELECT org_id FROM org_directory WHERE parent_id IS NULL AND NOT deleted ORDER BY org_id LIMIT 1"
)
_HOLDERS = sa.text("""
    SELECT person_id FROM administrator_directory WHERE org_id = :org AND active
    UNION
    -- a first administrator whose right is still on its way, and who holds the post that gives it
    SELECT persons[1] FROM audit_log
    WHERE place_id = :org AND kind = 'administrator.first'
        AND EXISTS (
            SELECT 1 FROM posts p
            WHERE p.org_id = :org AND p.person_id = persons[1] AND p.ended_at IS NULL)
        AND NOT EXISTS (
            SELECT 1 FROM administrator_directory a
            WHERE a.org_id = :org AND a.person_id = persons[1])""")
"""Who administers an organisation, and who will in a moment: the right comes back as an event."""
