"""The compose file is whole, and each service's command starts with its environment.

On real servers; no container engine is needed.
"""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import yaml

from shared.messages.words import PEERS
from shared.settings import SERVICES, bridge
from tests.deploy.factories import COMPOSE, command
from tests.installation import ROOT, free_port

OWN = [name for name, service in COMPOSE["services"].items() if service.get("image") == "tuanqiao"]


def test_the_file_is_whole():
    """Everything a service depends on, mounts or stores in is there.

    Every own service restarts, is checked and may be scaled.
    """
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], (
                volume
            )
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {
        (name, one["port"])
        for job in scraped
        for one in job.get("dns_sd_configs", ())
        for name in one["names"]
    }
    for name in (*SERVICES, "gateway"):
        assert (name, int(services[name]["environment"]["TUANQIAO_HEALTH_PORT"])) in asked
        assert (
            services[name]["healthcheck"]
            and services[name]["restart"]
            and "container_name" not in services[name]
        )
    assert (ROOT / "deploy" / "Dockerfile").exists()


def test_only_the_front_is_reachable():
    """Nobody but the front publishes a port.

    The gateway knows that one proxy stands before it, and that people come by HTTPS.
    """
    services = COMPOSE["services"]
    assert [name for name, service in services.items() if service.get("ports")] == ["front"]
    environment = services["gateway"]["environment"]
    assert (environment["TUANQIAO_TRUSTED_PROXIES"], environment["TUANQIAO_HTTPS"]) == ("1", "true")


def test_every_setting_is_known():
    """No service is given an environment name that the code does not read."""
    code = "".join(
        path.read_text() for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")
    )
    for name in OWN:
        for variable in COMPOSE["services"][name].get("environment", {}):
            known = variable in code or variable.removesuffix("_DATABASE_URL").lower() in SERVICES
            assert known, variable


def test_each_command_starts(translate):
    """Keys, migrations, then every service and the gateway come up.

    Each becomes ready, serves its metrics and leaves with 0 at SIGTERM.
    """
    for name in ("keys", "migrate"):
        subprocess.run(
            command(name), env=translate(name), cwd=ROOT, check=True, capture_output=True, timeout=60
        )
    running = {}
    try:
        for name in (*SERVICES, "gateway"):
            environment, words = translate(name), command(name)
            port = environment["TUANQIAO_HEALTH_PORT"]
            if name == "gateway":
                words[words.index("8000")] = str(free_port())
            running[name] = (
                subprocess.Popen(
                    words, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                ),
                port,
            )
        for name, (process, port) in running.items():
            ends = time.monotonic() + 40
            while True:
                assert process.poll() is None, f"{name} ended with {process.returncode}"
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                        assert all(json.loads(answer.read()).values())
                    break
                except OSError:
                    assert time.monotonic() < ends, f"{name} is not ready"
                    time.sleep(0.2)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                assert b"tuanqiao_" in answer.read()
    finally:
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        codes = {name: process.wait(30) for name, (process, _) in running.items()}
    assert codes == dict.fromkeys(running, 0)


def test_dashboard_and_alerts_use_known_metrics():
    """Every metric of the dashboard and the alerts exists in the code.

    Panels have titles, words and units; the file is the one that is made.
    """
    known = set(
        re.findall(
            r'"(tuanqiao_\w+?)(?:_total)?"',
            "".join((ROOT / path).read_text() for path in ("shared/metrics.py", "services/gateway/app.py")),
        )
    )
    board = json.loads((ROOT / "deploy/grafana/dashboards/tuanqiao.json").read_text())
    graphs = [panel for panel in board["panels"] if panel["type"] != "row"]
    expressions = [target["expr"] for panel in graphs for target in panel["targets"]]
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    expressions += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    for used in re.findall(r"tuanqiao_\w+", " ".join(expressions)):
        assert re.sub(r"_(bucket|total|sum|count)$", "", used) in known, used
    for panel in graphs:
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
    before = (ROOT / "deploy/grafana/dashboards/tuanqiao.json").read_bytes()
    subprocess.run([sys.executable, str(ROOT / "deploy/grafana/make_dashboard.py")], check=True)
    assert before == (ROOT / "deploy/grafana/dashboards/tuanqiao.json").read_bytes()


def test_shell_scripts_parse():
    """The shell scripts are valid for a POSIX shell."""
    for script in [*Path(ROOT / "deploy").rglob("*.sh"), ROOT / ".ci" / "run"]:
        subprocess.run(["bash" if script.name == "run" else "sh", "-n", str(script)], check=True)


def test_the_package_has_every_file(tmp_path):
    """The image installs the package.

    Templates, styles, fonts, policies and data are in it, not only the modules.
    """
    import shutil
    import zipfile

    source = tmp_path / "source"
    for name in ("services", "shared"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.in"):
        shutil.copy(ROOT / name, source / name)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(tmp_path),
            ".",
        ],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(source))
        for name in ("services", "shared")
        for path in (source / name).rglob("*")
        if path.is_file()
        and path.name not in ("README.md", "messages.pot")
        and "__pycache__" not in path.parts
    }
    assert wanted - packed == set()


def test_archiving_waits_for_a_passphrase():
    """Without a passphrase WAL is not kept, and not held up either; with one it goes to pgBackRest.

    What makes backups sees the data, the socket and the repository of PostgreSQL; what watches them sees
    the same and writes nothing.
    """
    services = COMPOSE["services"]
    options = dict(one.removeprefix("-c").split("=", 1) for one in services["postgres"]["command"][1:])
    archive = options["archive_command"].replace("$$", "$")

    def archived(passphrase: str) -> int:
        environment = {"PATH": "/nowhere", "PGBACKREST_REPO1_CIPHER_PASS": passphrase}
        return subprocess.run(["/bin/sh", "-c", archive], env=environment, capture_output=True).returncode

    assert archived("") == 0
    assert archived("given") == 127, "pgbackrest is called, and not found in this test"
    assert options["archive_mode"] == "on" and int(options["archive_timeout"]) <= 300
    volumes = {name: set(services[name]["volumes"]) for name in ("postgres", "backup")}
    assert len(volumes["backup"]) == 3 and volumes["backup"] < volumes["postgres"]
    assert services["backup"]["profiles"] == ["backup"]
    assert {one.removesuffix(":ro") for one in services["backups"]["volumes"]} == volumes["backup"]
    assert services["backups"]["environment"] == services["backup"]["environment"]


def test_the_file_of_bridges_is_whole():
    """A service for each peer, with port, database and TLS; every process knows the peers."""
    bridges = yaml.safe_load((ROOT / "deploy/compose.bridges.yml").read_text())["services"]
    settings = (ROOT / "services/federation/settings.py").read_text()
    created = (ROOT / "deploy/postgres/init.sh").read_text()
    asked = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    for peer in PEERS:
        own = bridges[f"federation-{peer.lower()}"]
        environment = own["environment"]
        port = environment[f"TUANQIAO_{peer}_PORT"]
        assert own["command"] == ["serve", "federation", str(peer)] and own["ports"][0].endswith(f":{port}")
        assert f"FEDERATION_{peer}_DATABASE_URL" in environment and bridge(peer) in created
        assert f"federation-{peer.lower()}" in asked
        for name in (one for one in environment if one.startswith(f"TUANQIAO_{peer}_")):
            assert f'{{name}}_{name.removeprefix(f"TUANQIAO_{peer}_")}"' in settings, name
    for name in {*SERVICES, "gateway", "keys", "migrate", "doctor"}:
        assert bridges[name]["environment"]["TUANQIAO_PEERS"] == ",".join(PEERS), name
