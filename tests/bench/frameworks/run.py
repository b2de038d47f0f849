"""Runs the other frameworks' programs on the tables of the reference, and on leaner ones of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from shared import db
from tests.bench import load, reference
from tests.installation import AMQP_URI, ROOT, SERVER

HERE = Path(__file__).parent
PLACE = ROOT / "var" / "frameworks"
LEAN = (
    """INSERT INTO lean (transfer_id, member_id, state)
        SELECT * FROM unnest(%(ids)s::bigint[], %(members)s::bigint[]) i(id, member), (VALUES ('checking')) s
        ON CONFLICT DO NOTHING""",
    """UPDATE people p SET reserved_by = i.id
        FROM unnest(%(ids)s::bigint[], %(members)s::bigint[]) i(id, member)
        WHERE p.person_id = i.member AND p.reserved_by IS NULL""",
    *(
        f"UPDATE lean SET state = '{to}' WHERE transfer_id = ANY(%(ids)s::bigint[]) AND state = '{of}'"
        for of, to in (
            ("checking", "pending_in"),
            ("pending_in", "pending_assign"),
            ("pending_assign", "moving"),
        )
    ),
    """WITH moved AS (UPDATE people p SET branch_id = %(branch)s, reserved_by = NULL
            FROM unnest(%(ids)s::bigint[], %(members)s::bigint[]) i(id, member)
            WHERE p.person_id = i.member AND p.reserved_by = i.id RETURNING i.id)
        UPDATE lean l SET state = 'completed' FROM moved m WHERE l.transfer_id = m.id""",
)
"""The leanest facts that a transfer can be kept by: a row with its state, and the member's."""
LEAN_TABLE = (
    "CREATE TABLE lean (transfer_id bigint PRIMARY KEY, member_id bigint NOT NULL, state text NOT NULL)"
)


def python() -> str:
    """Return the Python of the frameworks' own environment, made on first use."""
    made, lock = PLACE / "bin" / "python", HERE / "requirements.lock"
    if not made.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
        install = [str(made), "-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock)]
        subprocess.run(install, check=True)
    return str(made)


class Tables:
    """A database with the reference's tables, their members, and the lean table; transfers are counted on."""

    def __init__(self, name: str, people: int) -> None:
        self.url = str(db.address(SERVER).set(database=name).render_as_string(False))
        self.system = str(db.address(self.url).set(database=f"{name}_system").render_as_string(False))
        reference.prepare(self.url, people)
        db.drop_database(self.system)
        db.create_database(self.system)
        engine = db.connect(self.url)
        with engine.begin() as tx:
            tx.execute(sa.text(LEAN_TABLE))
        engine.dispose()
        self.used = 0

    def take(self, count: int) -> dict[str, int]:
        """Return the first of so many transfers and members that nobody has used."""
        first, self.used = self.used, self.used + count
        return {"first": 1 + first, "member": load.FIRST_MEMBER + first}

    def completed(self, lean: bool) -> int:
        """Return how many transfers are completed."""
        engine = db.connect(self.url)
        with engine.connect() as tx:
            table = "lean" if lean else "transfers"
            count = tx.scalar(sa.text(f"SELECT count(*) FROM {table} WHERE state = 'completed'"))
        engine.dispose()
        return int(count or 0)

    def close(self) -> None:
        """Throw both databases away."""
        for url in (self.url, self.system):
            db.drop_database(url)


def _asked(
    tables: Tables, lean: bool, size: int, under_way: int, seconds: float, most: int
) -> dict[str, Any]:
    return {
        "url": tables.url.replace("postgresql+psycopg2://", "postgresql://"),
        "options": db.SESSION,
        "system": tables.system.replace("postgresql+psycopg2://", "postgresql://"),
        "steps": [*LEAN] if lean else [*reference.STEPS],
        "table": "lean" if lean else "transfers",
        "size": size,
        "under_way": under_way,
        "seconds": seconds,
        **tables.take(most),
    }


def dbos(
    tables: Tables, lean: bool, size: int, under_way: int, seconds: float, most: int, per_core: int = 1
) -> float:
    """Return transfers a second by DBOS, on so many processes for each core."""
    processes, before = [], tables.completed(lean)
    count = per_core * (os.cpu_count() or 1)
    for nth in range(count):
        asked = _asked(tables, lean, size, under_way, seconds, most // count)
        asked["steps"] = [re.sub(r"%\((\w+)\)s", r"(:\1)", one) for one in asked["steps"]]
        asked["executor"] = f"executor-{nth}"
        process = subprocess.Popen(
            [python(), "-W", "ignore", str(HERE / "dbos_saga.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append((process, json.dumps(asked)))
    for process, text in processes:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
    return _speed(tables, lean, before, [_said(process) for process, _ in processes])


def celery(tables: Tables, lean: bool, size: int, under_way: int, seconds: float, most: int) -> float:
    """Return transfers a second by Celery, with two worker processes for each core."""
    before = tables.completed(lean)
    asked = _asked(tables, lean, size, under_way, seconds, most)
    asked |= {"broker": AMQP_URI, "queue": f"saga-{uuid.uuid4().hex[:8]}"}
    asked["steps"] = [reference.prepared(number, step) for number, step in enumerate(asked["steps"])]
    with _worker(asked) as environ:
        sender = subprocess.Popen(
            [python(), "-W", "ignore", str(HERE / "celery_saga.py")],
            env=environ,
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return _speed(tables, lean, before, [_said(sender)])


@contextmanager
def _worker(asked: dict[str, Any]) -> Iterator[dict[str, str]]:
    environ = {**os.environ, "SAGA": json.dumps(asked), "PYTHONPATH": ""}
    count = str(2 * (os.cpu_count() or 1))
    command = [python(), "-W", "ignore", "-m", "celery", "-A", "celery_saga", "worker"]
    command += ["--concurrency", count, "--loglevel", "ERROR", "--without-gossip", "--without-mingle"]
    worker = subprocess.Popen(command, env=environ, cwd=HERE, stdout=subprocess.DEVNULL)
    try:
        yield environ
    finally:
        worker.terminate()
        worker.wait(30)


def _said(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return what a program says at its end."""
    assert process.stdout is not None
    lines = process.stdout.read().splitlines()
    if process.wait(60):
        raise RuntimeError(f"it ended with {process.returncode}")
    found: dict[str, float] = json.loads(lines[-1])
    return found


def _speed(tables: Tables, lean: bool, before: int, said: Sequence[dict[str, float]]) -> float:
    """Return transfers a second of several programs; what was not completed makes the run void."""
    done = sum(one["done"] for one in said)
    if (completed := tables.completed(lean) - before) != done:
        raise RuntimeError(f"{completed} of {done:.0f} transfers were completed")
    return sum(one["done"] / one["seconds"] for one in said)


WAYS: dict[str, Callable[[Tables, float], float]] = {
    "dbos_lean": lambda tables, seconds: dbos(tables, True, 500, 4, seconds, _most(seconds, 12_000)),
    "dbos_bulk": lambda tables, seconds: dbos(tables, False, 500, 4, seconds, _most(seconds, 12_000)),
    "celery_bulk": lambda tables, seconds: celery(tables, False, 500, 4, seconds, _most(seconds, 12_000)),
    "dbos_singles": lambda tables, seconds: dbos(tables, False, 1, 2, seconds, _most(seconds, 400), 4),
    "celery_singles": lambda tables, seconds: celery(tables, False, 1, 64, seconds, _most(seconds, 400)),
}
"""Each at the sizes at which it was fastest of lists of 100 and 500, and of one to 16 under way.

More threads do not help DBOS with single transfers, since each of its some sixty round trips of one waits for
the interpreter; more processes do.
"""


def _most(seconds: float, a_second: int) -> int:
    return int(seconds + 2) * a_second


def people(seconds: float, rounds: int) -> int:
    """Return how many members all ways take in so many rounds at most."""
    return rounds * (3 * _most(seconds, 12_000) + 2 * _most(seconds, 400))


def lines(raw: dict[str, list[float]]) -> Iterator[tuple[str, str, str]]:
    """Yield what was measured as lines of a table; each ratio is of ours in the same round."""
    words = {
        "dbos_lean": ("DBOS, 500 a workflow, a row and a state", "bulk", "aim 1.1"),
        "dbos_bulk": ("DBOS, 500 a workflow, the same facts", "bulk", "aim 1.5"),
        "celery_bulk": ("Celery, 500 a task, the same facts", "bulk", ""),
        "dbos_singles": ("DBOS, a transfer a workflow", "singles", "aim 12"),
        "celery_singles": ("Celery, a transfer a task", "singles", ""),
    }
    for name, (label, ours, aim) in words.items():
        ratio = median([a / b for a, b in zip(raw[ours], raw[name], strict=True)])
        remark = f"ours is {ratio:.2f} x{f' ({aim})' if aim else ''}"
        yield label, f"{median(raw[name]):,.0f} transfers/s", remark
