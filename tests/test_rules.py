"""The rule catalogue: well formed, whole, and never cited wrongly."""
import importlib.util
import re
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("print_rules", Path(__file__).parent.parent / "docs" / "print_rules.py")
print_rules = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(print_rules)

COUNTS = {"ROLE": 16, "ORG": 42, "SCH": 9, "ADM": 19, "ACC": 16, "REG": 8, "MEM": 32, "CADRE": 11, "IMP": 14, "GRAD": 33, "TYPE": 27, "TRF": 43, "ASG": 7,
          "BATCH": 7, "DL": 19, "FED": 15, "SPU": 12, "DEL": 14, "MIG": 10, "MSG": 11, "SRCH": 9, "STAT": 17, "DOC": 13, "OPS": 9, "UI": 17, "BEY": 23}


@pytest.mark.parametrize("section, count", COUNTS.items())
def test_every_rule_is_there(section, count):
    """Each section has all its rules, numbered without a gap, each with a sentence of its own."""
    rules = {rule: text for rule, (_, text) in print_rules.catalogue().items() if rule.startswith(f"{section}-")}
    assert list(rules) == [f"{section}-{number:02d}" for number in range(1, count + 1)]
    assert all(5 < len(text) < 220 for text in rules.values())


def test_nothing_is_cited_wrongly():
    """No code or test cites a rule that does not exist, no test claims one that does not apply; not-applicable has a reason."""
    _, wrong = print_rules.page()
    assert wrong == []
    assert all(re.fullmatch(r"(n/a: .{5,80})?", status) for status, _ in print_rules.catalogue().values())
