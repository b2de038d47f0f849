"""The operators of our own make the changes they are meant to make, and no other."""

import pytest

pytest.importorskip("cosmic_ray", reason="cosmic-ray makes the mutants")

from cosmic_ray.mutating import mutate_code

from tests.mutants import operators


def changes(operator, code):
    """Return all versions of `code` that the operator makes."""
    made = []
    while (changed := mutate_code(code, operator, len(made))) is not None:
        made.append(changed)
    return made


@pytest.mark.parametrize(
    "code, made",
    [
        ('"SELECT 1 WHERE a < 2"', ['"SELECT 1 WHERE a <= 2"']),
        ('"DELETE FROM a WHERE b IS NOT NULL"', ['"DELETE FROM a WHERE b IS NULL"']),
        ('f"UPDATE {a} SET b = c + 1"', ['f"UPDATE {a} SET b <> c + 1"', 'f"UPDATE {a} SET b = c + 2"']),
        ('"SELECT a WHERE b AND c"', ['"SELECT a WHERE b OR c"']),
        ('"SELECT a WHERE b AND NOT c"', ['"SELECT a WHERE b AND c"']),
        ('"words = no statement"', []),
    ],
)
def test_sql(code, made):
    """Each condition of a statement is changed once, in plain strings and in f-strings; other texts stay."""
    assert changes(operators.ChangeSql(), code) == made


def test_membership_and_codes():
    """Membership is turned round, but not the `in` of a loop.

    The code of a refusal becomes another that exists.
    """
    assert changes(operators.ChangeIn(), "for a in b:\n    c in d\n    c not in d\n") == [
        "for a in b:\n    c not in d\n    c not in d\n",
        "for a in b:\n    c in d\n    c in d\n",
    ]
    assert changes(operators.ChangeCode(), 'Refusal("unknown_org", {"a": "b"})') == [
        'Refusal("not_found", {"a": "b"})'
    ]
