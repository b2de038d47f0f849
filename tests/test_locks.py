"""Statements over many rows lock them in one order, so that no two of them wait for each other."""

import re
from importlib import import_module
from pkgutil import walk_packages

import pytest
import sqlalchemy as sa

import services
import shared
from services.transfers.saga import Trigger
from shared.audit import Log
from shared.settings import SERVICES

FOLLOWS = "the transfers follow the order in which their nodes, or whatever was chosen, were locked before"
HELD = "the caller holds the rows, locked in the order of their key"
PERSON = "whose rows they are is held, and everybody who writes them holds the person before"
ALONE = "one transaction at a time does this"
LEASED = "nobody else takes them while the lease of whoever took them holds"
SINGLE = "one row"
TRANSFER = "the transfers that they are of are held, in one order"
ONE_BY_ONE = {
    "services.federation.arrivals:_ANSWER": TRANSFER,
    "services.federation.arrivals:_END": TRANSFER,
    "services.federation.arrivals:_KNOW": TRANSFER,
    "services.federation.places:_TOUCH": HELD,
    "services.federation.operating.store:_CONFIRM": HELD,
    "services.federation.operating.store:_NIGHT": SINGLE,
    "services.federation.quarantine:_DECIDE": HELD,
    "services.federation.store:_AGAIN": LEASED,
    "services.federation.store:_AWAY": SINGLE,
    "services.federation.store:_BACK": SINGLE,
    "services.federation.store:_PAUSE": SINGLE,
    "services.federation.store:_READ_ANEW": SINGLE,
    "services.federation.store:_RELEASE": LEASED,
    "services.federation.store:_SETTLE": LEASED,
    "services.federation.store:_WRITE": HELD,
    "services.members.accounts.store:_END_OTHER_SESSIONS": PERSON,
    "services.members.accounts.store:_END_SESSIONS": PERSON,
    "services.members.accounts.store:_FORGET_SIGN_INS": ALONE,  # once a day, by who hears of the day
    "services.members.crossings.store:_BRING": PERSON,
    "services.members.crossings.store:_COMPLETE": PERSON,
    "services.members.crossings.store:_CORRECT": PERSON,
    "services.members.crossings.store:_END": PERSON,
    "services.members.crossings.store:_END_DROPPED": PERSON,
    "services.members.crossings.store:_END_UNBEGUN": PERSON,
    "services.members.crossings.store:_ERASE": PERSON,
    "services.members.crossings.store:_FOLLOW": PERSON,
    "services.members.crossings.store:_FORGET_STAYS": PERSON,
    "services.members.crossings.store:_TAKE_OVER": HELD,
    "services.members.entering.imports_store:_FORGET_IMPORTS": ALONE,
    "services.members.entering.imports_store:_SETTLE_ROWS": HELD,  # by their import
    "services.members.entering.store:_FLAG": HELD,  # this transaction has entered them
    "services.members.entering.store:_NUMBERS": HELD,
    "services.members.joining.store:_SETTLE": HELD,
    "services.members.posts.store:_END_POSTS": PERSON,
    "services.members.records.store:_DELETE": PERSON,
    "services.members.retentions.store:_DECIDE": HELD,
    "services.members.sealing.store:_RESEALED": HELD,
    "services.members.store:_AFRESH": PERSON,
    "services.members.store:_END_ALL_SESSIONS": PERSON,
    "services.members.store:_MOVE": PERSON,
    "shared.throttle:_RESET": HELD,
    "services.orgs.migration.store:_SET_MIGRATIONS": HELD,
    "services.orgs.mirror.store:_FORGET": ALONE,  # for each system
    "services.orgs.mirror.store:_MOVE": ALONE,
    "services.orgs.mirror.store:_NEXT": ALONE,
    "services.orgs.mirror.store:_SEE": HELD,
    "services.orgs.store:_GRADUATE": HELD,
    "services.orgs.store:_RESTORE": HELD,
    "services.transfers.bulk.store:_SETTLE": HELD,
    "services.transfers.bulk.store:_STOP": "of one bulk; workers pass over what is locked",
    "services.transfers.figures.store:_FOLD": ALONE,
    "services.transfers.figures.sums:_FOLLOW": ALONE,
    "services.transfers.figures.sums:_OLDEST": ALONE,
    "services.transfers.policies.store:_APPLY": FOLLOWS,
    "services.transfers.remarks.store:_ANSWER": FOLLOWS,
    "services.transfers.remarks.store:_ESCALATE": FOLLOWS,
    "services.transfers.remarks.store:_URGE": FOLLOWS,
    "services.transfers.remarks.store:_URGE_BELOW": FOLLOWS,
    # and an end deletes rows that nobody else locks
    **{f"services.transfers.transitions:TRANSITIONS[{trigger}]": FOLLOWS for trigger in Trigger},
    "shared.audit:_APPEND": "one lane",
    "shared.outbox:_MARK": HELD,
}
"""Statements that need no order of their own, and why."""


def _statements() -> dict[str, str]:
    """Return the SQL of every module, by module and name, without comments."""
    found = {}
    for package in (services, shared):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" in module.name:
                continue
            for name, value in vars(import_module(module.name)).items():
                for key, one in _texts(value).items():
                    found.setdefault(re.sub(r"--[^\n]*", "", one.text), f"{module.name}:{name}{key}")
    return {name: text for text, name in found.items()}


def _texts(value) -> dict[str, sa.TextClause]:
    if isinstance(value, sa.TextClause):
        return {"": value}
    if isinstance(value, Log):
        return {f".{name}": one for name, one in vars(value).items() if isinstance(one, sa.TextClause)}
    if isinstance(value, dict):
        return {f"[{key}]": one for key, one in value.items() if isinstance(one, sa.TextClause)}
    return {}


def _keys() -> dict[str, list[set[str]]]:
    """Return the unique keys of every table of every service."""
    found: dict[str, list[set[str]]] = {}
    for service in (*SERVICES, "federation"):
        if service == "gateway":
            continue
        for table in import_module(f"services.{service}.models").metadata.tables.values():
            keys = [set(table.primary_key.columns.keys())]
            keys += [{c.name for c in one.columns} for one in table.indexes if one.unique]
            keys += [
                {c.name for c in one.columns}
                for one in table.constraints
                if isinstance(one, sa.UniqueConstraint)
            ]
            found.setdefault(table.name, []).extend(keys)
    return found


KEYS = _keys()
WRITES = re.compile(r"\b(?<!FOR )(?<!KEY )(?<!DO )(UPDATE|DELETE FROM|INSERT INTO) (\w+)")


def _scope(text: str, start: int) -> str:
    """Return the statement that begins at `start`: up to the parenthesis that closes around it."""
    depth = 0
    for at in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth < 0:
            return text[start:at]
    return text[start:]


def _locks(text: str, table: str) -> bool:
    """Return whether a select in a text locks rows of a table in an order, or passes over locked ones."""
    for match in re.finditer(r"\bFOR (NO KEY )?UPDATE\b", text):
        begin = _begin(text, match.start())
        select = text[begin : match.start()]
        words = re.match(r"(?: OF (\w+))?( SKIP LOCKED)?", text[match.end() :])
        named = rf"\b(FROM|JOIN) {table}" + (rf" {words[1]}\b" if words[1] else r"\b")
        # a look-up for each item locks in the order of the items
        ordered = "ORDER BY" in select or text[:begin].rstrip("( \n").endswith("LATERAL")
        if re.search(named, select) and (ordered or words[2]):
            return True
    return False


def _begin(text: str, end: int) -> int:
    """Return where the parenthesis opens that is open at `end`."""
    depth = 0
    for at in range(end - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[at], 0)
        if depth < 0:
            return at + 1
    return 0


def _problem(text: str, match: re.Match[str]) -> str | None:
    kind, table = match.groups()
    scope = _scope(text, match.start())
    if kind == "INSERT INTO":
        conflict = scope.find("ON CONFLICT")
        if conflict < 0 or "VALUES" in scope[:conflict] or "ORDER BY" in scope[:conflict]:
            return None
        return f"inserts into {table} in no order"
    equal = set(re.findall(r"(\w+) = (?:CAST\()?:\w+", scope))
    if any(key <= equal for key in KEYS.get(table, [])) or _locks(text, table):
        return None
    return f"{kind.split()[0].lower()}s {table} in no order"


STATEMENTS = _statements()
PROBLEMS = {
    name: problems
    for name, text in STATEMENTS.items()
    if (problems := [one for match in WRITES.finditer(text) if (one := _problem(text, match))])
}


def test_a_statement_in_no_order_is_found():
    """What the reader below takes for an order, and what not."""
    for text, found in (
        ("UPDATE timers t SET node_no = 1 FROM given i WHERE t.transfer_id = i.transfer_id", True),
        ("UPDATE timers SET node_no = 1 WHERE transfer_id = :one", False),
        ("DELETE FROM timers WHERE transfer_id = ANY(:ids)", True),
        (
            "DELETE FROM timers WHERE transfer_id = ANY(ARRAY(SELECT transfer_id FROM timers FOR UPDATE))",
            True,
        ),
        ("WITH o AS (SELECT * FROM timers t ORDER BY 1 FOR UPDATE OF t) DELETE FROM timers", False),
        ("WITH o AS (SELECT * FROM days t, timers ORDER BY 1 FOR UPDATE OF t) DELETE FROM timers", True),
        ("WITH o AS (SELECT * FROM timers FOR UPDATE SKIP LOCKED) DELETE FROM timers", False),
        ("INSERT INTO days SELECT day FROM given ON CONFLICT DO NOTHING", True),
        ("INSERT INTO days SELECT day FROM given ORDER BY day ON CONFLICT DO NOTHING", False),
        ("INSERT INTO days SELECT day FROM given", False),
    ):
        (match,) = WRITES.finditer(text)
        assert (_problem(text, match) is not None) == found, text


@pytest.mark.parametrize("name", sorted(PROBLEMS.keys() | ONE_BY_ONE.keys()))
def test_rows_are_locked_in_one_order(name):
    """Whoever writes many rows locks them in the order of the key, or says here why nobody else waits."""
    assert (name in PROBLEMS) == (name in ONE_BY_ONE), PROBLEMS.get(name)
