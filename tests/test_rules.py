"""The rule catalogue: well formed, whole, and never cited wrongly."""

import importlib.util
import re
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "print_rules", Path(__file__).parent.parent / "docs" / "print_rules.py"
)
print_rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(print_rules)

COUNTS = {
    "ROLE": 16,
    "ORG": 43,
    "SCH": 9,
    "ADM": 19,
    "ACC": 16,
    "REG": 8,
    "MEM": 32,
    "CADRE": 11,
    "IMP": 14,
    "GRAD": 35,
    "TYPE": 27,
    "TRF": 47,
    "ASG": 7,
    "BATCH": 7,
    "DL": 19,
    "FED": 15,
    "SPU": 13,
    "DEL": 15,
    "MIG": 10,
    "MSG": 11,
    "SRCH": 10,
    "STAT": 17,
    "DOC": 14,
    "OPS": 9,
    "UI": 20,
    "BEY": 34,
}


@pytest.mark.parametrize("section, count", COUNTS.items())
def test_every_rule_is_there(section, count):
    """Each section has all its rules, numbered without a gap, each with a sentence of its own."""
    rules = {
        rule: text for rule, (_, text) in print_rules.catalogue().items() if rule.startswith(f"{section}-")
    }
    assert list(rules) == [f"{section}-{number:02d}" for number in range(1, count + 1)]
    assert all(5 < len(text) < 600 for text in rules.values())


def test_nothing_is_cited_wrongly():
    """No code or test cites a rule that does not exist, no test claims one that does not apply.

    A state other than tested says why.
    """
    _, wrong = print_rules.page()
    assert wrong == []
    wanted = re.compile(r"((n/a|partly|open): .{3,100})?")
    assert [
        (rule, status)
        for rule, (status, _) in print_rules.catalogue().items()
        if not wanted.fullmatch(status)
    ] == []


@pytest.mark.parametrize(
    ("status", "named", "state"),
    [
        ("", [True], "tested"),
        ("", [False], "open"),
        ("", [], "open"),
        ("", [False, True], "tested"),
        ("partly: no page", [True], "partly"),
        ("open: nothing checks", [True], "open"),
        ("n/a: a duty", [], "not applicable"),
    ],
)
def test_states(status, named, state):
    """A rule is tested only where a test's own words name it; what a person has written down comes first."""
    assert (
        print_rules.state_of(status, [print_rules.Claim("tests/test_x.py", "test_x", one) for one in named])
        == state
    )


def test_what_counts_as_naming(tmp_path, monkeypatch):
    """A docstring or a table names a rule.

    A marker alone, a marker of the whole file and a test that is skipped do not.
    """
    file = tmp_path / "tests" / "test_x.py"
    file.parent.mkdir()
    file.write_text(SAMPLE)
    monkeypatch.setattr(print_rules, "ROOT", tmp_path)
    found = print_rules.claims()
    assert {rule: [one.named for one in some] for rule, some in found.items()} == {
        "ORG-01": [True],
        "ORG-02": [False],
        "ORG-03": [True],
        "ORG-04": [True],
        "ORG-06": [False],
    }


SAMPLE = '''
pytestmark = pytest.mark.rule("ORG-06")
@pytest.mark.rule("ORG-01", "ORG-02")
def test_one():
    """ORG-01: named."""
@pytest.mark.rule("ORG-03")
@pytest.mark.parametrize("rule", ["ORG-03"])
def test_two(rule):
    """A table names it."""
@pytest.mark.parametrize("a", [pytest.param(1, marks=pytest.mark.rule("ORG-04"))])
def test_three(a):
    """A row names it."""
@pytest.mark.skip(reason="never")
@pytest.mark.rule("ORG-05")
def test_four():
    """ORG-05: never run."""
'''
