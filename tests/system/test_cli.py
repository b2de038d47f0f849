"""The command line for whoever looks after an installation: dead letters and the audit trail."""

import json
import subprocess
import sys
import time
import uuid
from contextlib import closing
from types import SimpleNamespace

import kombu
import msgspec
import pytest
import sqlalchemy as sa

from services.members import people
from services.transfers import store
from services.transfers.policies import reader
from shared import db
from shared.bus.dead import topic_of
from shared.bus.publisher import Message, Publisher
from shared.settings import SERVICES
from tests.installation import AMQP_URI, ROOT, TOPOLOGY, Installation, tuanqiao

EVENTS = TOPOLOGY.event_queue("scheduler")


@pytest.fixture(scope="module")
def installation(keys):
    with closing(Installation(keys)) as made:
        made.create()
        yield made


def fail(installation, topic: str) -> int:
    """Put a dead letter into the members service."""
    with installation.engine("members").begin() as tx:
        return tx.scalar(
            sa.text(
                "INSERT INTO failed_messages (message_id, topic, body, error, attempts, failed_at)"
                " VALUES (:id, :topic, '{\"transfer_id\": 7}', 'ValueError: no', 5, now()) RETURNING id"
            ),
            {"id": uuid.uuid4().hex, "topic": topic},
        )


def test_dead_letters(installation):
    """A dead letter is listed, shown with its body, handed back once, and gone from the list."""
    number = fail(installation, "branch_assigned")

    listed = tuanqiao(installation, "dead-letters", "list")
    shown = tuanqiao(installation, "dead-letters", "show", f"members:{number}")
    replayed = tuanqiao(installation, "dead-letters", "replay", f"members:{number}")
    again = tuanqiao(installation, "dead-letters", "replay", f"members:{number}")

    assert (
        f"members:{number}  branch_assigned  attempts 5" in listed.stdout
        and "1 dead letters" in listed.stdout
    )
    assert 'body: {"transfer_id": 7}' in shown.stdout
    assert (replayed.returncode, again.returncode) == (0, 1)
    assert "0 dead letters" in tuanqiao(installation, "dead-letters", "list").stdout


def give_up(installation, message: Message) -> str:
    """Have the broker give up a message in the scheduler's queue; return its name on the command line."""
    with closing(Publisher(installation.settings)) as publisher:
        publisher.publish([message])
    with kombu.Connection(AMQP_URI) as connection:
        channel = connection.default_channel
        queue, dead = EVENTS(channel), kombu.Queue(TOPOLOGY.dead_queue)(channel)
        ends = time.monotonic() + 20
        while not dead.queue_declare(passive=True).message_count:
            assert time.monotonic() < ends
            if (one := queue.get(no_ack=False)) is not None:
                one.reject(requeue=True)
    return f"broker:{message.message_id}"


def waiting() -> dict[str, int]:
    """Return how many messages wait in each service's queue of events, and in the dead one."""
    with kombu.Connection(AMQP_URI) as connection:
        names = [*(TOPOLOGY.event_queue(service).name for service in SERVICES), TOPOLOGY.dead_queue]
        return {
            name: connection.default_channel.queue_declare(name, passive=True).message_count for name in names
        }


def test_messages_that_the_broker_gave_up(installation):
    """They are listed with queue, topic and reason; one that is replayed is as it was, and only there."""
    body = '[{"transfer_id": 7, "node_no": 1}]'
    message = Message("transfers", "node_opened", f"transfers:{uuid.uuid4().hex}", body)
    letter = give_up(installation, message)
    before = waiting()

    listed = tuanqiao(installation, "dead-letters", "list")
    shown = tuanqiao(installation, "dead-letters", "show", letter)
    replayed = tuanqiao(installation, "dead-letters", "replay", letter)

    assert f"{letter}  node_opened  {EVENTS.name}  delivery_limit" in listed.stdout, listed.stderr
    assert "1 dead letters" in listed.stdout and not listed.stderr
    assert f"text: {body}" in shown.stdout and "topic: node_opened" in shown.stdout
    assert replayed.returncode == 0, replayed.stderr
    assert waiting() == before | {EVENTS.name: before[EVENTS.name] + 1, TOPOLOGY.dead_queue: 0}
    with kombu.Connection(AMQP_URI) as connection:
        again = EVENTS(connection.default_channel).get(no_ack=True)
    assert (topic_of(again), again.properties["message_id"]) == ("node_opened", message.message_id)
    assert again.body == body


def test_a_broker_that_is_away_hides_no_dead_letters(installation):
    """What the databases hold is listed all the same, and the exit says that it is not all."""
    number = fail(installation, "branch_assigned")
    environ = installation.environ | {"AMQP_URI": "amqp://guest:guest@127.0.0.1:1//"}

    listed = tuanqiao(SimpleNamespace(environ=environ), "dead-letters", "list")

    assert f"members:{number}" in listed.stdout and "the broker: " in listed.stderr
    assert listed.returncode == 1 and "Traceback" not in listed.stderr
    tuanqiao(installation, "dead-letters", "replay", f"members:{number}")


def test_all_dead_letters_at_once(installation):
    """SERVICE:all hands back every dead letter of a service."""
    for _ in range(3):
        fail(installation, "branch_assigned")

    assert "3 handed back" in tuanqiao(installation, "dead-letters", "replay", "members:all").stdout


@pytest.mark.parametrize("letter", ["nowhere:1", "members", "members:x", "members:999999", "broker:9"])
def test_unknown_dead_letters(installation, letter):
    """A wrong name is refused with the right form named, not with a trace."""
    answer = tuanqiao(installation, "dead-letters", "show", letter)

    assert answer.returncode == 2 and "Traceback" not in answer.stderr and "dead letter" in answer.stderr


@pytest.mark.rule("BEY-10")
def test_audit_verify_finds_what_was_changed(installation):
    """BEY-10: the chain of an untouched trail verifies; a row changed by hand in the database is found."""
    rows = [
        {
            "n": n,
            "command_id": str(uuid.uuid4()),
            "member_id": n,
            "initiator": "source",
            "initiator_org_id": 2,
            "initiator_person_id": 3,
            "source_branch_id": 4,
            "source_superior_id": 2,
            "source_province": "42",
            "provincial_id": 1,
            "target_org_id": 5,
            "target_superior_id": None,
            "target_province": "42",
            "target_branch_id": None,
            "reason": "ordinary",
            "reason_kind": "any",
            "place_name": "",
            "place_address": "",
            "contact": "",
            "remark": "",
            "place_division": "",
            "target_name": "",
            "concern": "",
            "batch_id": None,
            "peer": "",
            "policy": "national@2026.1",
            "path": "source:committee",
        }
        for n in range(3)
    ]
    with installation.engine("transfers").begin() as tx:
        made = store.request(tx, rows)
    good = tuanqiao(installation, "audit", "verify")
    with installation.engine("transfers").begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        tx.execute(sa.text("UPDATE audit SET person_id = 4 WHERE transfer_id = :id"), {"id": made[1]})
    bad = tuanqiao(installation, "audit", "verify")

    assert (good.returncode, bad.returncode) == (0, 1)
    assert (
        "broken" not in good.stdout
        and f"broken: trails of transfers: transfer {made[1]}: the trail was changed\n" in bad.stdout
    )
    with installation.engine("transfers").begin() as tx:
        tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        tx.execute(sa.text("UPDATE audit SET person_id = 3 WHERE transfer_id = :id"), {"id": made[1]})


@pytest.mark.rule("BEY-10")
def test_audit_verify_finds_what_was_cut_off(installation, tmp_path):
    """BEY-10: one command proves all logs.

    A tail that was cut off with its head is found by the heads that the scheduler keeps, and by a
    file of heads.
    """
    from services.orgs.log import log
    from services.scheduler import heads as scheduler_heads
    from shared.audit import Entry, heads
    from shared.messages.orgs import OrgsLogGrew

    with installation.engine("orgs").begin() as tx:
        log.append(tx, [Entry(kind="right.given", place_id=1, persons=[n]) for n in (1, 2, 3)])
        (head,) = heads(tx)
    file = tmp_path / "heads"
    file.write_text(tuanqiao(installation, "audit", "heads").stdout)
    assert tuanqiao(installation, "audit", "verify", "--heads", str(file)).returncode == 0

    def cut(engine):
        with engine.begin() as tx:
            tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
            tx.execute(
                sa.text("DELETE FROM audit_log WHERE lane = :lane AND seq = :rows"),
                {"lane": head.lane, "rows": head.rows},
            )
            tx.execute(
                sa.text(
                    "UPDATE audit_heads h SET rows = l.seq, hash = l.hash"
                    " FROM audit_log l WHERE l.lane = h.lane AND l.seq = :last"
                ),
                {"last": head.rows - 1},
            )

    cut(installation.engine("orgs"))
    assert tuanqiao(installation, "audit", "verify").returncode == 0  # nobody was told yet
    by_file = tuanqiao(installation, "audit", "verify", "--heads", str(file))
    with installation.engine("scheduler").begin() as tx:  # what the scheduler does with what it is told
        scheduler_heads.on_log_grew("orgs")(
            tx, [OrgsLogGrew(lane=head.lane, rows=head.rows, hash=head.hash.hex())]
        )
    by_keeper = tuanqiao(installation, "audit", "verify")
    for answer in (by_file, by_keeper):
        assert answer.returncode == 1
        assert (
            f"broken: orgs: lane {head.lane} line {head.rows}: lines {head.rows} to {head.rows},"
            " whose head was told, are missing at the end" in answer.stdout
        )
    wrong = tmp_path / "wrong"
    wrong.write_text("x\n")
    assert tuanqiao(installation, "audit", "verify", "--heads", str(wrong)).returncode == 2


def test_help_names_every_command(installation):
    """--help of each command says what it does."""
    for words in (
        (),
        ("run",),
        ("serve",),
        ("gateway",),
        ("migrate",),
        ("keys",),
        ("seed",),
        ("demo",),
        ("dead-letters", "list"),
        ("audit", "verify"),
        ("audit", "heads"),
    ):
        answer = tuanqiao(installation, *words, "--help")
        assert answer.returncode == 0 and "Usage" in answer.stdout


def test_migrate_may_be_repeated(installation):
    """A second migration changes nothing."""
    assert tuanqiao(installation, "migrate").returncode == 0
    with db.connect(installation.settings.database("orgs")).connect() as tx:
        assert tx.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1


def test_keys_and_figures(installation):
    """Keys rotate on the command line and old ones are forgotten; all stays readable.

    Figures of 2017 are loaded from a file.
    """
    from services.members import store as members_store
    from services.members.accounts import handlers as accounts
    from services.members.sealing.seal import Seal, make_keys
    from tests.members.factories import number

    folder = installation.settings.keys
    make_keys(folder)
    accounts.use(folder)
    with installation.engine("members").begin() as tx:
        (person,) = members_store.add(
            tx, [people.new_person("王一", number(1), "19900000000", "汉族")], db_now()
        ).values()
    before = Seal(folder).numbers

    rotated = tuanqiao(installation, "keys", "rotate")
    forgotten = tuanqiao(installation, "keys", "forget")

    assert (rotated.returncode, forgotten.returncode) == (0, 0), rotated.stderr + forgotten.stderr
    assert "1 people" in rotated.stdout and "1 keys forgotten" in forgotten.stdout.replace(
        f"{len(before)} keys", "1 keys"
    )
    fresh = Seal(folder)
    assert fresh.numbers == {max(before) + 1}
    with installation.engine("members").connect() as tx:
        row = members_store.by_ids(tx, [person])[person]
    assert (fresh.open(row.id_sealed), fresh.open(row.phone_sealed)) == (number(1), "19900000000")
    assert members_store.by_index is not None and fresh.index(number(1)) == bytes(row.id_index)

    file = folder / "figures.csv"
    file.write_text("org_id,members\n42,100\n43,x\n")
    bad = tuanqiao(installation, "figures", str(file))
    file.write_text("org_id,members\n42,100\n43,7\n")
    good = tuanqiao(installation, "figures", str(file))
    assert (
        (bad.returncode, good.returncode) == (2, 0)
        and "line 3" in bad.stderr
        and "2 organisations" in good.stdout
    )


def test_keys_of_the_registry(installation, tmp_path):
    """A key to seal with is made and printed without its private part; the peer's is taken if it is one."""
    from services.members.crossings import seals

    seals.make_keys(installation.settings.keys, db_now())
    seals.make_keys(tmp_path, db_now())
    (theirs,) = seals.files(tmp_path).published()
    given = tmp_path / "given.jwk"

    made = tuanqiao(installation, "keys", "seal")
    shown = tuanqiao(installation, "keys", "seal", "--show")
    given.write_bytes(msgspec.json.encode(theirs))
    taken = tuanqiao(installation, "keys", "peer", "BJ", str(given))
    again = tuanqiao(installation, "keys", "peer", "BJ", str(given))
    given.write_bytes(msgspec.json.encode(msgspec.structs.replace(theirs, kid="another")))
    wrong = tuanqiao(installation, "keys", "peer", "BJ", str(given))
    nowhere = tuanqiao(installation, "keys", "peer", "XX", str(given))

    key = msgspec.json.decode(made.stdout)
    assert (key["crv"], key["use"], "d" in key) == ("X25519", "enc", False), made.stderr
    assert shown.stdout.count('"kid"') >= 2 and key["kid"] in shown.stdout and '"d"' not in shown.stdout
    assert [one.returncode for one in (taken, again, wrong, nowhere)] == [0, 2, 2, 2]
    assert "is here already" in again.stderr, "a revoked key is not brought back by handing it over again"
    assert theirs.kid in taken.stdout and "is no key to seal with" in wrong.stderr
    here = seals.Registry(installation.settings.keys)
    assert theirs.kid in [one.kid for one in here.files.keys()["BJ"]]


def db_now():
    from shared import clock

    return clock.now()


@pytest.mark.rule("BEY-07")
def test_policies_on_the_command_line(installation, tmp_path):
    """BEY-07: policies are listed, checked, compared and tried on the command line.

    A wrong file is named by line and reason.
    """
    bad = tmp_path / "bad.toml"
    bad.write_text(
        'version = "1"\nsource = "x"\n[node.pending_out]\nexpire_after_days = -1\non_expiry = "return"\n'
    )
    listed = tuanqiao(installation, "policy", "list")
    good = tuanqiao(installation, "policy", "check", "p000")
    wrong = tuanqiao(installation, "policy", "check", str(bad))
    assert "national@2026.1" in listed.stdout and "p000@2019.11 holds" in good.stdout
    assert (
        wrong.returncode == 1
        and "bad.toml line 4: expire_after_days is -1" in wrong.stderr
        and "[node.pending_in] is missing" in wrong.stderr
    )
    compared = tuanqiao(installation, "policy", "diff", "national", "p000")
    assert compared.returncode == 1 and "node.pending_out.on_expiry: return -> approve" in compared.stdout
    refused = tuanqiao(installation, "policy", "apply", "p000", "--from", "2020-01-01", "--yes")
    assert refused.returncode == 2 and "past" in refused.stderr
    applied = tuanqiao(installation, "policy", "apply", "p000", "--open", "--yes")
    assert applied.returncode == 0 and "p000@2019.11 holds from" in applied.stdout, applied.stderr
    changed = tmp_path / "p000.toml"
    changed.write_text(
        (reader.Path(reader.__file__).parent / "p000.toml").read_text().replace("= 15", "= 14")
    )
    assert "new version" in tuanqiao(installation, "policy", "apply", str(changed), "--yes").stderr
    assert "p000@2019.11" in tuanqiao(installation, "policy", "list").stdout.split("from ")[1]
    tried = tuanqiao(installation, "policy", "dry-run", "p000")
    assert tried.returncode == 0 and "open nodes" in tried.stdout
    assert tuanqiao(installation, "policy", "check", "nothing").returncode == 2


@pytest.mark.rule("STAT-10")
def test_stats_on_the_command_line(installation):
    """STAT-10: the recount agrees with the figures, and names what was changed by hand."""
    if tuanqiao(installation, "policy", "apply", "national", "--yes").returncode:
        raise AssertionError("no policy")
    with installation.engine("transfers").begin() as tx:
        tx.execute(
            sa.text(
                """
                INSERT INTO org_directory (
                    org_id, path, kind, purpose, province, system, name, version, deleted
                ) VALUES (77, '77.', 'branch', 'graduate', '42', 'national', 'x', 1, false)"""
            )
        )
        tx.execute(
            sa.text(
                "INSERT INTO graduates (member_id, cohort, branch_id, flagged_at, counts, version)"
                " SELECT n, 2026, 77, now(), true, 1 FROM generate_series(1, 50) AS n"
            )
        )
    counted = tuanqiao(installation, "stats", "recount")
    good = tuanqiao(installation, "stats", "verify")
    with installation.engine("transfers").begin() as tx:
        tx.execute(sa.text("UPDATE figures SET idle = idle + 1 WHERE org_id = 77"))
    bad = tuanqiao(installation, "stats", "verify")
    assert (counted.returncode, good.returncode, bad.returncode) == (0, 0, 1), good.stderr
    assert (
        "50 graduates counted, 1 rows of figures compared, 0 differences" in good.stdout
        and "organisation 77, cohort 2026: idle is 51, counted 50" in bad.stdout
    )


@pytest.mark.rule("BEY-07", "DL-19", "STAT-10", "TYPE-10")
@pytest.mark.long
def test_a_season_is_the_same_again(tmp_path):
    """BEY-07: a season on the simulated clock, on the real services.

    The same seed gives the same season, another policy another one.

    DL-19, STAT-10: all invariants hold, and the recount agrees. TYPE-10: who works elsewhere and is
    sent home is refused under the national policy, and only warned of under p004, where some
    insist.
    """
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "system.cli",
            "season",
            "--graduates",
            "240",
            "--until",
            "06-20",
            "--policy",
            "national",
            "--against",
            "national",
            "--against",
            "p004",
            "--out",
            str(tmp_path / "season"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    first, again, other = json.loads((tmp_path / "season" / "season.json").read_text())
    assert first["digest"] == again["digest"] != other["digest"]
    assert answer.stdout.count("all invariants hold") == 3
    for result in (first, again, other):
        assert result["ends"].get("completed", 0) > 20 and not result["problems"]
    assert first["warnings"].keys() == {"destination_forbidden"} and other["warnings"].keys() == {
        "destination_unusual"
    }
    page = (tmp_path / "season" / "season.html").read_text()
    assert (
        page.count("data:image/png") == 5 and (tmp_path / "season" / "open_nodes.png").stat().st_size > 5_000
    )
