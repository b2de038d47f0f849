"""Prints docs/rules.md: every rule of the catalogue, where it lives, and how far a test proves it.

`python docs/print_rules.py` writes the page; `--check` only says whether it is up to date.

docs/rules.tsv has three columns: the rule, its state where a person has to say it, the catalogue's
words. States:

    (empty)       tested, if a test carries the rule's marker and names it in its docstring or table;
                  else open
    partly: ...   a test proves some of it; what is missing
    open: ...     nothing proves it; what is missing
    n/a: ...      it asks nothing of software; why
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
SECTIONS = {
    "ROLE": "Actors and roles",
    "ORG": "Organisations",
    "SCH": "School organisations",
    "ADM": "Administrators and registration codes",
    "ACC": "Accounts, sign-in, passwords",
    "REG": "Self-registration",
    "MEM": "Members",
    "CADRE": "Cadres",
    "IMP": "Import",
    "GRAD": "Graduation time and marks",
    "TYPE": "Kinds of transfer and destinations",
    "TRF": "Transfers",
    "ASG": "Branch assignment",
    "BATCH": "Batch transfer",
    "DL": "Deadlines and phases",
    "FED": "Beijing, Guangdong, Fujian",
    "SPU": "Special units",
    "DEL": "Deletions",
    "MIG": "Migration of organisations",
    "MSG": "Operation centre and messages",
    "SRCH": "Search",
    "STAT": "Statistics",
    "DOC": "Documents",
    "OPS": "Duties outside the screens",
    "UI": "Screens and environment",
    "BEY": "Beyond the original",
}
STATES = ("tested", "partly", "open", "not applicable")
RULE = re.compile(rf"\b(?:{'|'.join(SECTIONS)})-\d\d\b")
RANGE = re.compile(rf"\b({'|'.join(SECTIONS)})-(\d\d)\.\.(\d\d)\b")
HEAD = """# The rules

Made by `make rules` from docs/rules.tsv and the tests; do not edit.

- *tested*: a test carries the rule's marker and names the rule in its docstring or table; \
tests that are always skipped do not count.
- *partly*: a test proves some of it; what is missing stands there.
- *open*: no test proves it, even where code cites it.
- *n/a*: it asks nothing of software; why stands there.
"""


class Claim(NamedTuple):
    """One rule in one marker: the file, the test, and whether the test's own words name the rule."""

    place: str
    test: str
    named: bool


def catalogue() -> dict[str, tuple[str, str]]:
    """Return id -> (status, text) in the order of docs/rules.tsv.

    Raises:
        ValueError: A rule stands twice, or a line has not three columns.

    """
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
    """Return rule -> the modules and data files that name it, shared, services and system only."""
    found: dict[str, list[str]] = {}
    for folder in ("services", "shared", "system"):
        for path in sorted((ROOT / folder).rglob("*")):
            # guides cite rules, they do not keep them
            if path.name == "help_texts.py":
                continue
            if path.suffix in (".py", ".toml") and "migrations" not in path.parts:
                for rule in cited(path.read_text("utf-8")):
                    found.setdefault(rule, []).append(str(path.relative_to(ROOT).with_suffix("")))
    return found


def _markers(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the `...rule("ID", ...)` calls below a node."""
    for below in ast.walk(node):
        if (
            isinstance(below, ast.Call)
            and isinstance(below.func, ast.Attribute)
            and below.func.attr == "rule"
        ):
            yield below


def _always_skipped(test: ast.FunctionDef | ast.ClassDef) -> bool:
    return any(
        ast.unparse(one).startswith("pytest.mark.skip(") or ast.unparse(one) == "pytest.mark.skip"
        for one in test.decorator_list
    )


def _claims_of(path: Path) -> Iterator[tuple[str, Claim]]:
    """Yield the claims of a file: of a test's decorators, of rows of a table it is run over, of its class.

    A claim is named where the docstring of the test (of the class, for a marker on a class) or its
    table names the rule. In a table (`pytest.param(..., marks=...rule("ID"))`) the row itself is
    the name. A marker for the whole file names nothing.
    """
    tree = ast.parse(path.read_text("utf-8"))
    place = str(path.relative_to(ROOT))
    in_tests: set[int] = set()
    for test in ast.walk(tree):
        if not isinstance(test, ast.FunctionDef | ast.ClassDef):
            continue
        tables = (ast.unparse(one) for one in test.decorator_list if "parametrize" in ast.unparse(one))
        names = cited(" ".join((ast.get_docstring(test) or "", *tables)))
        for decorator in test.decorator_list:
            is_rule = decorator in list(_markers(decorator))[:1]
            for call in _markers(decorator):
                in_tests.add(id(call))
                if _always_skipped(test):
                    continue
                for argument in call.args:
                    if isinstance(argument, ast.Constant):
                        rule = str(argument.value)
                        yield rule, Claim(place, test.name, rule in names or not is_rule)
    for call in _markers(tree):
        if id(call) not in in_tests:
            for argument in call.args:
                if isinstance(argument, ast.Constant):
                    # a table that stands by itself names the rule in the row; `pytestmark` does not
                    yield str(argument.value), Claim(place, "", not _is_module_mark(tree, call))


def _is_module_mark(tree: ast.Module, call: ast.Call) -> bool:
    return any(
        isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "pytestmark" and call in ast.walk(one)
        for one in tree.body
    )


def claims() -> dict[str, list[Claim]]:
    """Return rule -> what the tests claim of it."""
    found: dict[str, list[Claim]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for rule, claim in _claims_of(path):
            found.setdefault(rule, []).append(claim)
    return found


def state_of(status: str, proofs: list[Claim]) -> str:
    """Return one of STATES; a rule counts as tested only where a test's own words name it."""
    said = {"n/a": "not applicable", "partly": "partly", "open": "open"}.get(status.split(":")[0])
    return said or ("tested" if any(one.named for one in proofs) else "open")


def page() -> tuple[str, list[str]]:
    """Return the page and what is wrong with the claims."""
    rules, lives, tests = catalogue(), homes(), claims()
    wrong = [
        f"{place}: {rule} is not in the catalogue"
        for rule, places in lives.items()
        if rule not in rules
        for place in places
    ]
    wrong += [
        f"{one.place}: {rule} is not in the catalogue"
        for rule, some in tests.items()
        if rule not in rules
        for one in some
    ]
    lines = [HEAD.rstrip()]
    states: Counter[str] = Counter()
    section = ""
    for rule, (status, text) in rules.items():
        proofs = tests.get(rule, [])
        state = state_of(status, proofs)
        states[state] += 1
        if state == "not applicable" and proofs:
            wrong.append(f"{proofs[0].place}: {rule} is not applicable, yet a test claims it")
        if state == "partly" and not any(one.named for one in proofs):
            wrong.append(f"docs/rules.tsv: {rule} is partly tested, but no test's docstring names it")
        if rule.split("-")[0] != section:
            section = rule.split("-")[0]
            lines += ["", f"## {section}: {SECTIONS[section]}", ""]
            lines += ["| rule | what it asks | lives in | state |", "|---|---|---|---|"]
        places = ", ".join(f"`{place}`" for place in lives.get(rule, [])[:3])
        lines.append(f"| {rule} | {text} | {places} | {status or state} |")
    lines += ["", f"rules: {', '.join(f'{states[state]} {state}' for state in STATES)}"]
    return "\n".join(lines) + "\n", wrong


def main() -> None:
    """Write or check the page; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if docs/rules.md is out of date"
    )
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
