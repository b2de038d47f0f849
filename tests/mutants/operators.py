"""Which small changes are made: a choice of cosmic-ray's operators and three of our own.

Ours: SQL, membership, codes of refusals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.operators.operator import Operator

CORE = (
    *(
        f"ReplaceComparisonOperator_{one}"
        for one in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Is_IsNot", "IsNot_Is")
    ),
    "ReplaceBinaryOperator_Add_Sub",
    "ReplaceBinaryOperator_Sub_Add",
    "ReplaceBinaryOperator_Mul_Div",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)
"""One change a place where more would say nothing new.

`<` becomes `<=`, not each of the seven other comparisons.
"""

SQL = re.compile(r"\b(?:SELECT|UPDATE|DELETE|INSERT|SET|WHERE|CASE|AND|OR|EXISTS|LIMIT)\b")
CHANGES = (
    (re.compile(r"(?<![<>!=:|])=(?![>=])"), "<>"),
    (re.compile(r"<>"), "="),
    (re.compile(r"<="), "<"),
    (re.compile(r">="), ">"),
    (re.compile(r"(?<![<>])<(?![<>=])"), "<="),
    (re.compile(r"(?<![<>-])>(?![<>=])"), ">="),
    (re.compile(r"\bIS NULL\b"), "IS NOT NULL"),
    (re.compile(r"\bIS NOT NULL\b"), "IS NULL"),
    (re.compile(r"\bNOT EXISTS\b"), "EXISTS"),
    (re.compile(r"\bNOT IN\b"), "IN"),
    (re.compile(r"(?<!NOT )\bIN \("), "NOT IN ("),
    (re.compile(r"\bAND NOT\b"), "AND"),
    (re.compile(r"\bAND\b(?! NOT\b)"), "OR"),
    (re.compile(r"\bOR\b"), "AND"),
    (re.compile(r"\+ 1\b"), "+ 2"),
    (re.compile(r"\bDESC\b"), "ASC"),
    (re.compile(r"\bDISTINCT\b"), ""),
    (re.compile(r"\bUNION ALL\b"), "UNION"),
    (re.compile(r"\bGREATEST\b"), "LEAST"),
)
"""What is looked for in a piece of SQL, and what it becomes.

An `=` in a SET becomes `<>`, which PostgreSQL refuses at once: such a mutant is killed by any test
that runs the statement, so it counts whether the statement is run at all.
"""


class ChangeSql(Operator):
    """Changes one condition, connective or number of a statement that stands in a string or an f-string."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield one position for each change that is possible in a string."""
        if node.type in ("string", "fstring_string"):
            for _ in self._changed(node.value):
                yield (node.start_pos, node.end_pos)

    def mutate(self, node: Any, index: int) -> Any:
        """Return the string with its change number `index`."""
        node.value = list(self._changed(node.value))[index]
        return node

    def _changed(self, text: str) -> Iterator[str]:
        if not SQL.search(text):
            return
        for pattern, instead in CHANGES:
            for found in pattern.finditer(text):
                yield text[: found.start()] + instead + text[found.end() :]

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none; tests/mutants/test_operators.py has them."""
        return ()


class ChangeIn(Operator):
    """Turns `in` into `not in` and back, which cosmic-ray does not."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the operators of comparisons that ask for membership."""
        plain = node.type == "keyword" and node.value == "in" and node.parent.type == "comparison"
        negated = node.type == "comp_op" and [leaf.value for leaf in node.children] == ["not", "in"]
        if plain or negated:
            yield (node.start_pos, node.end_pos)

    def mutate(self, node: Any, index: int) -> Any:
        """Return the opposite."""
        if node.type == "keyword":
            node.value = "not in"
        else:
            node.children[0].value = ""
            node.children[1].prefix = ""
        return node

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none; tests/mutants/test_operators.py has them."""
        return ()


class ChangeCode(Operator):
    """Changes the code of a refusal, so that a test which asserts only that something is refused is found."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the first argument of `Refusal("code", ...)` and `Refused("code", ...)`."""
        if node.type == "string" and self._is_code(node):
            yield (node.start_pos, node.end_pos)

    def mutate(self, node: Any, index: int) -> Any:
        """Return another code, which exists."""
        node.value = '"not_found"' if "not_found" not in node.value else '"bad_request"'
        return node

    def _is_code(self, node: Any) -> bool:
        call = node.get_previous_leaf()
        name = call.get_previous_leaf() if call is not None and call.value == "(" else None
        return name is not None and name.value in ("Refusal", "Refused")

    @classmethod
    def examples(cls) -> tuple[()]:
        """Return none; tests/mutants/test_operators.py has them."""
        return ()


def python() -> list[Operator]:
    """Return the operators for rules in Python."""
    return [cosmic_ray.plugins.get_operator(f"core/{name}")() for name in CORE] + [ChangeIn(), ChangeCode()]


def sql() -> list[Operator]:
    """Return the operators for modules that are mostly SQL."""
    return [ChangeSql()]
