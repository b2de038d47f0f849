"""`make mutants`: changes the pure rules and the saga's SQL in small ways.

Counts how many changes some test notices.

ONLY=path limits the run to files whose name contains it, LIMIT=n to every n-th part, so that the
rest is a fair sample. Survivors that are known stand in survivors.toml, each with its reason: they
count as alive and are not run again. Any other survivor fails the run, as does a share of killed
mutants below 90 %.
"""

from __future__ import annotations

import difflib
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator

from tests.mutants import forked, operators

ROOT = Path(__file__).parent.parent.parent
NEEDED = 0.9
HEALTHY_SECONDS = 600.0
"""The longest that the tests of a stage may take."""


class Target(NamedTuple):
    """A file, what is changed in it, and its tests in stages.

    The nearest tests come first, those of a later stage run only for what survived.
    """

    path: str
    kind: str
    stages: tuple[tuple[str, ...], ...]


_SAGA_TESTS = (
    ("tests/transfers/test_store.py", "tests/transfers/test_handlers.py"),
    (
        "tests/transfers/policies/test_provinces.py",
        "tests/transfers/policies/test_handlers.py",
        "tests/transfers/remarks/test_handlers.py",
        "tests/transfers/test_reasons.py",
        "tests/transfers/figures/test_handlers.py",
    ),
    (
        "tests/transfers/crossings/test_leaving.py",
        "tests/transfers/crossings/test_arriving.py",
        "tests/transfers/queue/test_handlers.py",
        "tests/transfers/adviser/test_handlers.py",
        "tests/transfers/test_open_counts.py",
    ),
)
TARGETS = (
    Target(
        "services/orgs/domain.py",
        "python",
        (
            ("tests/orgs/test_domain.py",),
            (
                "tests/orgs/test_first_check.py",
                "tests/orgs/test_special_branches.py",
                "tests/orgs/test_school_numbers.py",
                "tests/orgs/test_deletion.py",
                "tests/orgs/test_rights.py",
                "tests/orgs/migration/test_handlers.py",
                "tests/orgs/search/test_handlers.py",
                "tests/orgs/test_commands.py",
                "tests/orgs/test_names.py",
                "tests/orgs/test_handlers.py",
            ),
        ),
    ),
    Target(
        "services/orgs/migration/rules.py",
        "python",
        (("tests/orgs/migration/test_rules.py",), ("tests/orgs/migration/test_handlers.py",)),
    ),
    Target(
        "services/orgs/order/rules.py",
        "python",
        (("tests/orgs/order/test_rules.py",), ("tests/orgs/test_names.py",)),
    ),
    Target("services/orgs/search/rules.py", "python", (("tests/orgs/search/test_rules.py",),)),
    Target(
        "services/members/domain.py",
        "python",
        (
            ("tests/members/test_domain.py",),
            (
                "tests/members/graduation/test_handlers.py",
                "tests/members/records/test_handlers.py",
                "tests/members/letters/test_handlers.py",
            ),
            (
                "tests/members/test_handlers.py",
                "tests/members/lists/test_handlers.py",
                "tests/members/accounts/test_handlers.py",
            ),
        ),
    ),
    Target(
        "services/members/accounts/rules.py",
        "python",
        (("tests/members/accounts/test_rules.py",), ("tests/members/accounts/test_handlers.py",)),
    ),
    Target(
        "services/members/graduation/rules.py",
        "python",
        (("tests/members/graduation/test_rules.py",), ("tests/members/graduation/test_handlers.py",)),
    ),
    Target(
        "services/members/letters/rules.py",
        "python",
        (("tests/members/letters/test_rules.py",), ("tests/members/letters/test_handlers.py",)),
    ),
    Target(
        "services/members/entering/rules.py",
        "python",
        (
            ("tests/members/entering/test_rules.py",),
            (
                "tests/members/entering/test_entrants.py",
                "tests/members/entering/test_imports.py",
                "tests/members/test_handlers.py",
            ),
        ),
    ),
    Target(
        "services/members/founding/rules.py",
        "python",
        (("tests/members/founding/test_rules.py",), ("tests/members/founding/test_handlers.py",)),
    ),
    Target(
        "services/members/joining/rules.py",
        "python",
        (("tests/members/joining/test_rules.py",), ("tests/members/joining/test_handlers.py",)),
    ),
    Target(
        "services/members/lists/rules.py",
        "python",
        (("tests/members/lists/test_rules.py",), ("tests/members/lists/test_handlers.py",)),
    ),
    Target(
        "services/members/posts/rules.py",
        "python",
        (("tests/members/posts/test_rules.py",), ("tests/members/joining/test_handlers.py",)),
    ),
    Target(
        "services/members/records/rules.py",
        "python",
        (("tests/members/records/test_rules.py",), ("tests/members/records/test_handlers.py",)),
    ),
    Target(
        "services/members/retentions/rules.py",
        "python",
        (("tests/members/retentions/test_rules.py",), ("tests/members/letters/test_handlers.py",)),
    ),
    Target(
        "services/transfers/domain.py",
        "python",
        (
            ("tests/transfers/test_domain.py", "tests/transfers/test_reasons.py"),
            (
                "tests/transfers/adviser/test_handlers.py",
                "tests/transfers/remarks/test_handlers.py",
                "tests/transfers/test_handlers.py",
                "tests/transfers/policies/test_handlers.py",
                "tests/transfers/crossings/test_leaving.py",
            ),
        ),
    ),
    Target(
        "services/transfers/adviser/rules.py",
        "python",
        (("tests/transfers/adviser/test_rules.py",), ("tests/transfers/adviser/test_handlers.py",)),
    ),
    Target(
        "services/transfers/bulk/rules.py",
        "python",
        (("tests/transfers/bulk/test_rules.py",), ("tests/transfers/remarks/test_handlers.py",)),
    ),
    Target(
        "services/transfers/figures/rules.py",
        "python",
        (("tests/transfers/figures/test_rules.py",), ("tests/transfers/figures/test_handlers.py",)),
    ),
    Target(
        "services/transfers/queue/rules.py",
        "python",
        (("tests/transfers/queue/test_rules.py",), ("tests/transfers/queue/test_handlers.py",)),
    ),
    Target(
        "services/transfers/notices/rules.py",
        "python",
        (("tests/transfers/notices/test_rules.py",), ("tests/transfers/remarks/test_handlers.py",)),
    ),
    Target(
        "services/transfers/remarks/rules.py",
        "python",
        (("tests/transfers/remarks/test_rules.py",), ("tests/transfers/remarks/test_handlers.py",)),
    ),
    Target(
        "services/transfers/saga.py",
        "python",
        (
            ("tests/transfers/test_saga.py", "tests/transfers/test_domain.py"),
            ("tests/transfers/test_handlers.py",),
        ),
    ),
    Target(
        "services/transfers/policies/reader.py",
        "python",
        (("tests/transfers/policies/test_reader.py",), ("tests/transfers/policies/test_handlers.py",)),
    ),
    Target(
        "services/transfers/policies/calendar.py",
        "python",
        (("tests/transfers/policies/test_reader.py",), ("tests/transfers/policies/test_handlers.py",)),
    ),
    Target("services/transfers/transitions.py", "sql", _SAGA_TESTS),
    Target("services/transfers/trail.py", "sql", _SAGA_TESTS),
    Target("services/transfers/store.py", "sql", _SAGA_TESTS),
)
FURTHER = (
    Target("services/orgs/mirror/rules.py", "python", (("tests/orgs/mirror/test_handlers.py",),)),
    Target(
        "services/members/crossings/rules.py",
        "python",
        (
            ("tests/members/crossings/test_arriving.py",),
            ("tests/members/crossings/test_leaving.py", "tests/members/crossings/test_left.py"),
        ),
    ),
    Target(
        "services/transfers/crossings/rules.py",
        "python",
        (("tests/transfers/crossings/test_leaving.py", "tests/transfers/crossings/test_arriving.py"),),
    ),
    Target(
        "services/federation/operating/rules.py",
        "python",
        (("tests/federation/operating/test_views.py", "tests/federation/operating/test_days.py"),),
    ),
    Target(
        "services/transfers/figures/store.py",
        "sql",
        (
            ("tests/transfers/figures/test_handlers.py",),
            ("tests/transfers/policies/test_handlers.py", "tests/transfers/remarks/test_handlers.py"),
        ),
    ),
)
"""Changed only where ONLY names them: their tests need a database, the statistics' a quarter of an hour."""


class Mutant(NamedTuple):
    """One change: the target, the lines before and after, the whole changed source."""

    target: Target
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what survivors.toml knows it by; line numbers move, lines seldom do."""
        return self.target.path, self.before, self.after


def changed_lines(old: str, new: str) -> tuple[str, str]:
    """Return the lines that differ, stripped, as one text each."""
    before, after = [], []
    for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0):
        if line.startswith("-") and not line.startswith("---"):
            before.append(line[1:].strip())
        if line.startswith("+") and not line.startswith("+++"):
            after.append(line[1:].strip())
    return " ".join(before), " ".join(after)


def mutants_of(target: Target) -> Iterator[Mutant]:
    """Yield every change of a file that another operator has not made already."""
    source = (ROOT / target.path).read_text("utf-8")
    chosen: list[Operator] = operators.python() if target.kind == "python" else operators.sql()
    seen = set()
    for operator in chosen:
        occurrence = 0
        while (changed := mutate_code(source, operator, occurrence)) is not None:
            occurrence += 1
            if changed not in seen and changed != source:
                seen.add(changed)
                yield Mutant(target, *changed_lines(source, changed), changed)


def module_of(path: str) -> str:
    """Return the dotted name of a file."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


Tests = tuple[str, ...]


def run(mutants: list[Mutant], stage: int, size: int, took: dict[Tests, float]) -> list[Mutant]:
    """Return those that no test of the stage notices; show how far it is.

    `took`: the seconds of each stage without any change.
    """
    pool = forked.Pool(size)
    alive: list[Mutant] = []
    waiting = [one for one in mutants if stage < len(one.target.stages)]
    done, total, shown = 0, len(waiting), 0.0
    while waiting or pool.running:
        while waiting and not pool.full():
            one = waiting.pop()
            path = ROOT / one.target.path
            tests = one.target.stages[stage]
            child = forked.start(module_of(one.target.path), path, one.source, tests)
            pool.add(child, one, forked.SHORTEST + forked.TIMES * took[tests])
        mutant, killed = pool.wait()
        done += 1
        if not killed:
            alive.append(mutant)
        if time.monotonic() - shown > 15:
            shown = time.monotonic()
            print(f"  stage {stage + 1}: {done} of {total}, {len(alive)} alive", file=sys.stderr, flush=True)
    return alive + [one for one in mutants if stage >= len(one.target.stages)]


def healthy(size: int) -> dict[Tests, float]:
    """Return how many seconds each stage takes without any change.

    End with a word if its tests fail then: nothing would be proved.
    """
    pool = forked.Pool(size)
    waiting = list({stage for target in chosen_targets() for stage in target.stages})
    took: dict[Tests, float] = {}
    while waiting or pool.running:
        while waiting and not pool.full():
            tests = waiting.pop()
            took[tests] = time.monotonic()
            pool.add(forked.start("", ROOT, "", tests), tests, HEALTHY_SECONDS)
        tests, failed = pool.wait()
        took[tests] = time.monotonic() - took[tests]
        if failed:
            sys.exit(f"mutants: {' '.join(tests)} fail without any change; mend them first")
    return took


def chosen_targets() -> list[Target]:
    """Return the targets that ONLY names, without it those of the rules and the saga."""
    only = os.environ.get("ONLY")
    return [target for target in (*TARGETS, *FURTHER) if only in target.path] if only else list(TARGETS)


def known_survivors() -> dict[tuple[str, str, str], str]:
    """Return key -> reason of survivors.toml."""
    data = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text("utf-8"))
    return {(one["file"], one["before"], one["after"]): one["why"] for one in data.get("survivor", [])}


def main() -> None:
    """Make the mutants, run them, print a table and every survivor without a reason."""
    os.chdir(ROOT)
    started = time.monotonic()
    size = int(os.environ.get("PROCESSES") or os.cpu_count() or 1)
    every = int(os.environ.get("LIMIT") or 1)
    forked.warm()
    took = healthy(size)
    mutants = [one for target in chosen_targets() for one in mutants_of(target)][::every]
    known = known_survivors()
    alive = [one for one in mutants if one.key not in known]
    for stage in range(max(len(target.stages) for target in chosen_targets())):
        alive = run(alive, stage, size, took)
    alive += [one for one in mutants if one.key in known]
    table(mutants, alive, known)
    unknown = sorted({one.key for one in alive} - known.keys())
    for path, before, after in unknown:
        print(f"\nsurvives: {path}\n  - {before}\n  + {after}")
    share = 1 - len(alive) / max(1, len(mutants))
    print(
        f"\n{len(mutants)} mutants, {share:.1%} killed, {len(unknown)} survive without a reason,"
        f" {time.monotonic() - started:.0f} s on {size} processes"
    )
    sys.exit(bool(unknown) or share < NEEDED)


def table(mutants: list[Mutant], alive: list[Mutant], known: dict[tuple[str, str, str], str]) -> None:
    """Print one line per file."""
    made = Counter(one.target.path for one in mutants)
    left = Counter(one.target.path for one in alive)
    explained = Counter(one.target.path for one in alive if one.key in known)
    print(f"{'file':<45}{'mutants':>8}{'killed':>8}{'share':>8}{'with reason':>13}")
    for path, count in made.items():
        killed = count - left[path]
        print(f"{path:<45}{count:>8}{killed:>8}{killed / count:>8.0%}{explained[path]:>13}")


if __name__ == "__main__":
    main()
