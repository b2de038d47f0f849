"""The alerts fire in the situations that they are named after, rest in others, and say what to do."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from tests.installation import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]
SECRET = 'it\'s: #1 "quoted"'


def tool(name: str) -> str:
    """Return a program of Debian's packages prometheus and prometheus-alertmanager; skip without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return found


def run(*words: str) -> str:
    done = subprocess.run(words, cwd=PROMETHEUS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_fires_and_rests():
    """Every case of alerts_test.yml holds, and every alert has one in which it fires and one in which not."""
    cases = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    for alert in NAMES:
        for verb, fires in (("fires", True), ("rests", False)):
            checks = [
                check
                for case in cases
                if case["name"].startswith(f"{alert} {verb}: ")
                for check in case["promql_expr_test"]
            ]
            assert checks or (alert, verb) == ("Watchdog", "rests"), (alert, verb)
            for check in checks:
                assert f'alertname="{alert}"' in check["expr"] and bool(check["exp_samples"]) is fires
    run(tool("promtool"), "test", "rules", "alerts_test.yml")


def test_prometheus_takes_the_configuration():
    """The files that compose mounts are whole, and each service is a job of its own.

    None is missed where there are no bridges.
    """
    run(tool("promtool"), "check", "config", "prometheus.yml")
    jobs = {
        one["job_name"]
        for one in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    }
    missed = set(re.findall(r'absent\(up{job="(\w+)"}\)', RULES[0]["expr"]))
    assert RULES[0]["alert"] == "ServiceDown" and missed == jobs - {"prometheus", "federation"}


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_each_says_what_to_do(rule):
    """Severity, two sentences in both languages, and an entry of the runbooks with something in it."""
    assert rule["labels"]["severity"] in ("page", "warn", "none")
    for name in ("summary", "description"):
        words = rule["annotations"][name]
        assert re.search(r"[\u4e00-\u9fff]", words) and re.search(r"[a-z]{3,}", words), (name, words)
    page, anchor = rule["annotations"]["runbook"].split("#")
    entry = re.search(rf"^## {rule['alert']}\n(.+?)(?=\n## |\Z)", (ROOT / page).read_text(), re.M | re.S)
    assert anchor == rule["alert"].lower() and entry and len(entry[1]) > 60


@pytest.mark.parametrize(
    ("environment", "people", "heartbeat"),
    [
        ({}, {}, 0),
        ({"ALERT_WEBHOOK_URL": "http://chat/?key='1'"}, {"url": "http://chat/?key='1'"}, 0),
        (
            {
                "ALERT_EMAIL_TO": "duty@example.org",
                "ALERT_SMTP": "mail.example.org:587",
                "ALERT_SMTP_USER": "duty",
                "ALERT_SMTP_PASSWORD": SECRET,
                "ALERT_HEARTBEAT_URL": "http://heart/",
            },
            {
                "to": "duty@example.org",
                "from": "duty@example.org",
                "smarthost": "mail.example.org:587",
                "send_resolved": True,
                "auth_username": "duty",
                "auth_password": SECRET,
            },
            1,
        ),
    ],
)
def test_somebody_is_told(environment, people, heartbeat, tmp_path):
    """Who is told comes from the environment, whatever signs are in it; without anybody the log says so."""
    done = subprocess.run(
        ["sh", str(ROOT / "deploy/alertmanager/config.sh")],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("nobody is told" in done.stderr) is not bool(people)
    made = {one["name"]: one for one in yaml.safe_load(done.stdout)["receivers"]}
    told = [*made["people"].get("webhook_configs", []), *made["people"].get("email_configs", [])]
    assert told == ([people] if people else [])
    assert len(made["heartbeat"].get("webhook_configs", [])) == heartbeat
    (tmp_path / "alertmanager.yml").write_text(done.stdout)
    run(tool("amtool"), "check-config", str(tmp_path / "alertmanager.yml"))
