"""Prints docs/rules.md: every rule of the catalogue, where it lives, whether a test proves it.

`python docs/print_rules.py` writes the page; `--check` only says whether it is up to date.
"""
from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECTIONS = {
    "ROLE": "Actors and roles", "ORG": "Organisations", "SCH": "School organisations", "ADM": "Administrators and registration codes",
    "ACC": "Accounts, sign-in, passwords", "REG": "Self-registration", "MEM": "Members", "CADRE": "Cadres", "IMP": "Import", "GRAD": "Graduation time and marks",
    "TYPE": "Kinds of transfer and destinations", "TRF": "Transfers", "ASG": "Branch assignment", "BATCH": "Batch transfer", "DL": "Deadlines and phases",
    "FED": "Beijing, Guangdong, Fujian", "SPU": "Special units", "DEL": "Deletions", "MIG": "Migration of organisations", "MSG": "Operation centre and messages",
    "SRCH": "Search", "STAT": "Statistics", "DOC": "Documents", "OPS": "Duties outside the screens", "UI": "Screens and environment", "BEY": "Beyond the original"}
RULE = re.compile(rf"\b(?:{'|'.join(SECTIONS)})-\d\d\b")
RANGE = re.compile(rf"\b({'|'.join(SECTIONS)})-(\d\d)\.\.(\d\d)\b")


def catalogue() -> dict[str, tuple[str, str]]:
    """Return id -> (status, text) in the order of docs/rules.tsv."""
    rules: dict[str, tuple[str, str]] = {}
    for line in (ROOT / "docs" / "rules.tsv").read_text("utf-8").splitlines():
        rule, status, text = line.split("\t")
        if rule in rules:
            raise ValueError(f"{rule} stands twice")
        rules[rule] = (status, text)
    return rules


def cited(text: str) -> set[str]:
    """Return the rules that a text names, ranges such as TRF-16..20 included."""
    found = set(RULE.findall(text))
    for section, first, last in RANGE.findall(text):
        found |= {f"{section}-{number:02d}" for number in range(int(first), int(last) + 1)}
    return found


def homes() -> dict[str, list[str]]:
    """Return rule -> the modules and data files that name it, shared and services only."""
    found: dict[str, list[str]] = {}
    for folder in ("services", "shared"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".toml") and "migrations" not in path.parts:
                for rule in cited(path.read_text("utf-8")):
                    found.setdefault(rule, []).append(str(path.relative_to(ROOT).with_suffix("")))
    return found


def marked() -> dict[str, list[str]]:
    """Return rule -> the tests that carry it in a `rule` marker."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "rule":
                for argument in node.args:
                    if isinstance(argument, ast.Constant):
                        found.setdefault(str(argument.value), []).append(str(path.relative_to(ROOT)))
    return found


def page() -> tuple[str, list[str]]:
    """Return the page and what is wrong: rules that are cited but unknown, or tested but not applicable."""
    rules, lives, tests = catalogue(), homes(), marked()
    wrong = [f"{place}: {rule} is not in the catalogue" for found in (lives, tests) for rule, places in found.items() if rule not in rules for place in places]
    wrong += [f"{tests[rule][0]}: {rule} is not applicable, yet a test claims it" for rule, (status, _) in rules.items() if status and rule in tests]
    lines = ["# The rules", "", "Made by `make rules`; do not edit. *tested*: a test carries the rule's marker. *open*: no test proves it yet,", "even where code cites it."]
    states: Counter[str] = Counter()
    section = ""
    for rule, (status, text) in rules.items():
        if rule.split("-")[0] != section:
            section = rule.split("-")[0]
            lines += ["", f"## {section}: {SECTIONS[section]}", "", "| rule | what it asks | lives in | state |", "|---|---|---|---|"]
        state = "not applicable" if status else "tested" if rule in tests else "open"
        states[state] += 1
        lines.append(f"| {rule} | {text} | {', '.join(f'`{place}`' for place in lives.get(rule, [])[:3])} | {status or state} |")
    lines += ["", f"rules: {states['tested']} tested, {states['not applicable']} not applicable, {states['open']} open"]
    return "\n".join(lines) + "\n", wrong


def main() -> None:
    """Write or check the page; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if docs/rules.md is out of date")
    arguments = parser.parse_args()
    text, wrong = page()
    target = ROOT / "docs" / "rules.md"
    if arguments.check:
        if not target.exists() or target.read_text("utf-8") != text:
            wrong.append("docs/rules.md is out of date; run make rules")
    else:
        target.write_text(text, "utf-8")
    for line in wrong:
        print(line, file=sys.stderr)
    print(text.rstrip().rsplit("\n", 1)[-1])
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
