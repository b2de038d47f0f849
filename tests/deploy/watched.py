"""An installation that is watched: two replicas, a broker that is measured, Prometheus, Alertmanager.

Everything is real and of its own, from the machine's own programs, with the configuration that compose
mounts; only the addresses and the intervals are the test's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
import yaml

from shared.settings import SERVICES
from system import embedded
from tests.attack.target import Target
from tests.bench import drive, load
from tests.installation import ROOT, free_port
from tests.storm.servers import Node, wait_until

PEOPLE = 3_000
REPLICAS = ("transfers#2", "scheduler#2")
GROUP_WAIT = "group_wait: 15s"


class Watched(Target):
    """The installation, with its Prometheus at `prometheus` and what Alertmanager has told in `told`."""

    def __init__(self, keys: Path, broker: Node) -> None:
        amqp = f"amqp://guest:guest@127.0.0.1:{broker.port}//"
        self.health = free_port()
        # no prefix: the board asks for the queues by their names in an installation
        environ = {
            "AMQP_URI": amqp,
            "TUANQIAO_BUS_PREFIX": "",
            "TUANQIAO_HEALTH_PORT": str(self.health),
        }
        super().__init__(keys, environ=environ)
        self.settings = replace(self.settings, amqp_uri=amqp, bus_prefix="")
        self.prometheus = ""
        self.told: list[dict[str, Any]] = []

    def close(self, keep_databases: bool = False) -> None:
        """End everything at once: there is nothing that has to be finished."""
        for process in self.processes.values():
            process.kill()
        super().close(keep_databases)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return what Prometheus says now: labels and value of each line."""
        url = f"{self.prometheus}/api/v1/query?{urlencode({'query': expression})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            result = json.loads(answer.read())["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def value(self, expression: str) -> float | None:
        """Return the one value of an expression; None if it has none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def look(self) -> None:
        """Look at a page, and ask for something that a service knows."""
        urllib.request.urlopen(f"{self.url}/contacts", timeout=10).close()
        self.answers()

    def post(self, path: str, token: str, org: int, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send items of a command through the gateway."""
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Acting-Org": str(org),
            "Content-Type": "application/json",
        }
        body = json.dumps({"items": items}).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", body, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            results = json.loads(answer.read())["results"]
        assert not any(one.get("refusal") for one in results), results
        return list(results)

    def wait_for(self, state: str, count: int) -> None:
        """Wait until so many transfers are in a state."""
        select = sa.text("SELECT count(*) FROM transfers WHERE state = :state")
        with self.engine("transfers").connect() as tx:
            wait_until(state, lambda: tx.scalar(select, {"state": state}) == count, 30)


def broker_node(folder: Path) -> tuple[Node, int]:
    """Start a RabbitMQ whose figures can be scraped, without waiting; return it with that port."""
    port = free_port()
    folder.mkdir()
    cookie = folder / ".erlang.cookie"
    cookie.write_text("WATCHED")
    cookie.chmod(0o400)
    (folder / "plugins").write_text("[rabbitmq_prometheus].\n")
    (folder / "rabbitmq.conf").write_text(
        f"prometheus.tcp.port = {port}\nprometheus.tcp.ip = 127.0.0.1\ndisk_free_limit.absolute = 50MB\n"
    )
    clients = free_port()
    node = Node(folder, f"watched{clients}@localhost", clients, free_port())
    node.start()
    return node, port


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Yield an installation under watch, with a tree and members, and nothing under way yet."""
    with ExitStack() as stack:
        node, figures = broker_node(folder / "rabbit")
        stack.callback(node.kill)
        keys = folder / "keys"
        embedded.make_keys(keys)
        made = Watched(keys, node)
        stack.callback(made.close)
        made.create()
        load.organisations(made)
        load.people(made, PEOPLE)
        wait_until("RabbitMQ", node.answers, 60)
        made.start(*SERVICES, *REPLICAS)
        made.start_gateway()
        stack.callback(_watch(made, folder, figures).close)
        yield made


def _watch(made: Watched, folder: Path, figures: int) -> ExitStack:
    """Start Alertmanager and Prometheus; return what stops them."""
    with ExitStack() as stack:
        receiver = _receiver(made.told)
        stack.callback(receiver.server_close)
        stack.callback(receiver.shutdown)
        tells = f"http://127.0.0.1:{receiver.server_port}"
        alerts = _alertmanager(stack, folder, tells)
        made.prometheus = _prometheus(stack, folder, made, figures, alerts)
        return stack.pop_all()


def _receiver(told: list[dict[str, Any]]) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.extend({"path": self.path, **one} for one in body["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _process(stack: ExitStack, folder: Path, *words: str) -> None:
    with (folder / f"{words[0]}.log").open("ab") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out, cwd=folder)
    stack.callback(process.wait)
    stack.callback(process.kill)


def _alertmanager(stack: ExitStack, folder: Path, tells: str) -> str:
    environ = {
        "PATH": os.environ["PATH"],
        "ALERT_WEBHOOK_URL": f"{tells}/people",
        "ALERT_HEARTBEAT_URL": f"{tells}/heartbeat",
    }
    script = ["sh", str(ROOT / "deploy/alertmanager/config.sh")]
    config = subprocess.run(script, env=environ, capture_output=True, text=True, check=True).stdout
    assert GROUP_WAIT in config
    (folder / "alertmanager.yml").write_text(config.replace(GROUP_WAIT, "group_wait: 0s"))
    address = f"127.0.0.1:{free_port()}"
    _process(
        stack,
        folder,
        "prometheus-alertmanager",
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alerts",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    )
    return address


def _prometheus(stack: ExitStack, folder: Path, made: Watched, figures: int, alerts: str) -> str:
    """Start Prometheus with the configuration of compose, at a pace of seconds."""
    address = f"127.0.0.1:{free_port()}"
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deploy/prometheus/alerts.yml")]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alerts]
    # nobody makes backups here, so `backups` is somebody who only answers
    places = {"rabbitmq": figures, "queues": figures, "backups": figures, "gateway": made.health}
    for job in config["scrape_configs"]:
        name = job["job_name"]
        ports = [port for one, port in made.ports.items() if one.split("#")[0] == name] or [places.get(name)]
        own = {"prometheus": [address], "alertmanager": [alerts]}.get(name)
        for only_there in ("dns_sd_configs", "scrape_interval", "scrape_timeout"):
            job.pop(only_there, None)
        job["static_configs"] = [{"targets": own or [f"127.0.0.1:{port}" for port in ports]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    _process(
        stack,
        folder,
        "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/series",
        f"--web.listen-address={address}",
        # what fires before Prometheus has found Alertmanager is told again only after this
        "--rules.alert.resend-delay=1s",
    )
    return f"http://{address}"


def missing() -> list[str]:
    """Return the programs that are not on this machine."""
    return [name for name in ("prometheus", "prometheus-alertmanager") if not shutil.which(name)]


def work(made: Watched) -> None:
    """Drive 60 transfers through the gateway, to every place that one can stand at."""
    school = load.schools(made.settings.keys)[0]
    asked = [json.loads(_encoded(one)) for one in drive.requests(drive.Members(PEOPLE).take(0, 60), school)]
    ids = [
        one["transfer_id"]
        for at in range(0, 60, 20)
        for one in made.post("/transfers", school.source_token, school.committee, asked[at : at + 20])
    ]
    made.wait_for("pending_in", 60)
    _counted_from_zero(made, "pending_in")
    for at in range(0, 40, 10):
        decided = [
            {"decision_id": str(uuid.uuid4()), "transfer_id": one, "node_no": 1, "approve": True}
            for one in ids[at : at + 10]
        ]
        made.post("/transfers/decisions", school.target_token, school.target, decided)
    rejected = [
        {
            "decision_id": str(uuid.uuid4()),
            "transfer_id": one,
            "node_no": 1,
            "approve": False,
            "reason_code": "not_here",
        }
        for one in ids[40:45]
    ]
    made.post("/transfers/decisions", school.target_token, school.target, rejected)
    _counted_from_zero(made, "pending_assign")
    assigned = [
        {"decision_id": str(uuid.uuid4()), "transfer_id": one, "branch_id": school.target_branch}
        for one in ids[:30]
    ]
    made.post("/transfers/assignments", school.target_token, school.target, assigned)
    made.wait_for("completed", 30)


def _counted_from_zero(made: Watched, node: str) -> None:
    """Wait until decisions of a kind are seen to be 0, on both replicas, and look at pages meanwhile."""
    series = f'count(tuanqiao_approval_seconds_count{{who="people", node="{node}"}} == 0) >= 2'

    def holds() -> bool:
        made.look()
        return bool(made.query(series))

    wait_until(f"a scrape before the first of {node}", holds, 20)


def _encoded(item: Any) -> bytes:
    import msgspec

    return msgspec.json.encode(item)
