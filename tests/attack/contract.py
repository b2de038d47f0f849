"""Everything that the OpenAPI document allows, and what it does not, sent as each of four roles.

There is no answer of 5xx, and each answer has the form that is documented.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from services.gateway.api import openapi
from system import world
from tests.attack import Budget, Outcome
from tests.attack.target import Target, token
from tests.system.fullhouse import CLASS, COLLEGE, FIRST, OTHER_COLLEGE, PROVINCE, TOWNSHIP, UNIVERSITY

TITLE = "by contract, in four roles"
CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "content_type_conformance",
    "status_code_conformance",
    "allow_header_conformance",
)
PHASES = ("examples", "coverage", "fuzzing", "stateful")
ROLES: dict[str, list[str]] = {
    "nobody": [],
    "graduate": [f"Authorization: Bearer {{{FIRST}}}"],
    "class administrator": [
        f"Authorization: Bearer {{{world.administrator_of(CLASS)}}}",
        f"X-Acting-Org: {CLASS}",
    ],
    "college administrator": [
        f"Authorization: Bearer {{{world.administrator_of(COLLEGE)}}}",
        f"X-Acting-Org: {COLLEGE}",
    ],
}
"""The headers of each role; a person in braces stands for a token.

Where a role names no organisation the header is invented.
"""
ORGS = [CLASS, CLASS + 1, COLLEGE, UNIVERSITY, OTHER_COLLEGE, TOWNSHIP, PROVINCE, 1]
PEOPLE = [*range(FIRST, FIRST + 20), 1001, world.administrator_of(CLASS), world.administrator_of(COLLEGE)]
ENTRIES = [*range(1, 31)]
_KNOWN = {
    **dict.fromkeys(
        (
            "org_id",
            "parent_id",
            "branch_id",
            "source_branch_id",
            "target_org_id",
            "target_branch_id",
            "to_org_id",
            "near",
            "below",
            "org_ids",
            "X-Acting-Org",
        ),
        ORGS,
    ),
    **dict.fromkeys(("member_id", "person_id", "member_ids", "person_ids"), PEOPLE),
    **dict.fromkeys(
        ("transfer_id", "registration_id", "migration_id", "retention_id", "letter_id", "webhook_id"), ENTRIES
    ),
}


def attack(target: Target, budget: Budget) -> Outcome:
    """Send a fourth of the cases as each role, in all phases."""
    return run(target, budget, PHASES)


def run(target: Target, budget: Budget, phases: Sequence[str], seed: int | None = None) -> Outcome:
    """Send the cases, the roles at the same time.

    The coverage phase has a number of its own, the others share what the budget leaves.
    """
    document = _document()
    operations = sum(len(methods) for methods in document["paths"].values())
    arguments = [
        "--url",
        target.url,
        "--phases",
        ",".join(phases),
        "--checks",
        ",".join(CHECKS),
        "--max-examples",
        str(max(1, budget.cases // len(ROLES) // operations)),
        "--max-time",
        str(int(budget.minutes * 60)),
        "--workers",
        "1",
        "--request-timeout",
        "30",
        "--continue-on-failure",
        "--no-shrink",
        "--suppress-health-check",
        "all",
        "--no-color",
        "--warnings",
        "off",
        *(["--seed", str(seed)] if seed is not None else []),
    ]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(ROLES)) as pool:
        (Path(folder) / "openapi.json").write_text(json.dumps(document), "utf-8")
        done = list(
            pool.map(lambda role: _send(Path(folder), role, arguments, budget.minutes * 60 + 120), ROLES)
        )
    sent = {role: number for role, (number, _) in zip(ROLES, done, strict=True)}
    return Outcome(
        f"{sum(sent.values()):,} requests to {operations} operations"
        f" ({', '.join(f'{role} {number:,}' for role, number in sent.items())})",
        [f"{role}: {fault}" for role, (_, faults) in zip(ROLES, done, strict=True) for fault in faults],
    )


def _send(folder: Path, role: str, arguments: Sequence[str], seconds: float) -> tuple[int, list[str]]:
    """Send the cases of one role; return their number and what was found.

    It ends by itself, and at the latest after so many seconds.
    """
    report = folder / f"{role.replace(' ', '_')}.ndjson"
    headers = [part for header in ROLES[role] for part in ("--header", _signed(header))]
    try:
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"),
                "run",
                "openapi.json",
                *arguments,
                *headers,
                "--report",
                "ndjson",
                "--report-ndjson-path",
                str(report),
            ],
            cwd=folder,
            text=True,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return _read(report)[0], ["schemathesis did not end"]
    sent, faults = _read(report)
    if done.returncode not in (0, 1) or (done.returncode == 1 and not faults):
        faults.append(f"schemathesis ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return sent, faults


def _signed(header: str) -> str:
    name, _, value = header.partition("{")
    return f"{name}{token(int(value[:-1]))}" if value else name


def _document() -> dict[str, Any]:
    """Return the API's document with the ids of the demo world among those to choose from.

    With invented ids alone nothing would be found.
    """
    document = json.loads(json.dumps(openapi.document()))
    for schema in document["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if name in _KNOWN:
                schema["properties"][name] = _with(field, _KNOWN[name])
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in _KNOWN:
                    parameter["schema"] = _with(parameter["schema"], _KNOWN[parameter["name"]])
    return dict(document)


def _with(schema: dict[str, Any], ids: list[int]) -> dict[str, Any]:
    if schema.get("type") == "array":
        return {**schema, "items": _with(schema["items"], ids)}
    return {"anyOf": [{"type": "integer", "enum": ids}, schema]}


def _read(report: Path) -> tuple[int, list[str]]:
    """Return how many requests a report tells of, and each failed check once per operation.

    Each check comes with the request that shows it.
    """
    sent, faults = 0, {}
    if not report.exists():  # nothing was sent
        return sent, []
    for line in report.read_text("utf-8").splitlines():
        event = json.loads(line)
        if "FatalError" in event or "NonFatalError" in event:
            faults[line[:200]] = line[:1500]
        recorder = event.get("ScenarioFinished", {}).get("recorder", {})
        sent += len(recorder.get("interactions", {}))
        for case, checks in recorder.get("checks", {}).items():
            for check in checks:
                if check["status"] != "success":
                    asked = recorder["interactions"].get(case, {}).get("request", {})
                    place = (
                        f"{asked.get('method')} {asked.get('uri', '').partition('?')[0].partition('/api')[2]}"
                    )
                    faults.setdefault(
                        f"{place} {check['name']}",
                        f"{place}: {check['name']}: {_shown(check)} {_shown(asked)}",
                    )
    return sent, list(faults.values())


def _shown(part: Any) -> str:
    return json.dumps(
        {key: value for key, value in part.items() if key not in ("headers", "name", "status", "method")},
        ensure_ascii=False,
    )[:1200]
