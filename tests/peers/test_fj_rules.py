"""FJ's tables are those of docs/federation.md, line by line."""

import re
from pathlib import Path

from tests.peers.fj import letters, people, rules

PAGE = (Path(__file__).parents[2] / "docs" / "federation.md").read_text("utf-8")
FLAGS = ("heard_accepted", "heard_record", "heard_never_seen")


def cells(heading: str) -> list[list[str]]:
    """Return the lines of the table below a line of headings, without their quotes."""
    rows = PAGE.partition(f"{heading}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip().replace("`", "") for cell in row.split("|")[1:-1]] for row in rows]


def transfer(side: str, state: str, heard: str = "") -> dict:
    return {"side": side, "state": state} | dict.fromkeys(FLAGS, 0) | ({f"heard_{heard}": 1} if heard else {})


def test_what_one_may_do_stands_on_the_page_so():
    """Each act leads where the page says, only after what it needs, and not after what ends it."""
    rows = cells("| side | state | act | says | leads to | needs | not after |")
    assert len(rows) == sum(len(acts) for states in rules.ACTS.values() for acts in states.values()) == 15
    for side, state, act, says, leads, needs, unless in rows:
        step = rules.act(transfer(side, state, needs), act)
        assert step is not None and (step.says, step.state) == (says, leads)
        assert not needs or rules.act(transfer(side, state), act) is None
        assert not unless or rules.act(transfer(side, state, unless), act) is None


def test_what_is_heard_how_stands_on_the_page_so():
    """Each message leads where the page says; what is not on it leads nowhere."""
    rows = cells("| side | state | hears | leads to | answers |")
    assert len(rows) == sum(len(heard) for states in rules.HEARD.values() for heard in states.values())
    for side, state, word, leads, answer in rows:
        step = rules.hear(transfer(side, state), word)
        first, _, after = leads.partition("; after record ")
        says, _, later = answer.partition("; after record ")
        assert step == rules.Heard("" if first == "nothing" else first, says)
        if after:
            step = rules.hear(transfer(side, state, "record"), word)
            assert (after, step) == ("nothing", rules.Heard(state, later))
    assert rules.hear(transfer("sender", "none"), "integrated") is None


def test_outcomes_reasons_and_refusals():
    """Whatever both sides call alike stands in both."""
    said = re.search(r"`outcome` is one word for both sides' states: (.*?)\. A receiver", PAGE, re.DOTALL)
    outcomes = {}
    for part in said[1].replace("`", "").split("; "):
        outcome, _, states = part.partition(" for ")
        outcomes |= {tuple(one.split()): outcome for one in states.split(", ")}
    assert outcomes == {
        (side, state): outcome for side, states in rules.OUTCOMES.items() for state, outcome in states.items()
    }
    assert {row[0] for row in cells("| code | means | in Chinese |")} == people.LISTED
    refusals = {
        code: (again, counts)
        for code, again, counts, _ in cells("| code | try again | its number counts | means |")
    }
    assert {code for code, (again, _) in refusals.items() if again == "yes"} == {*letters.AGAIN}
    assert {code for code, (_, counts) in refusals.items() if counts == "yes"} == {*letters.COUNTS}


def test_each_type_has_the_fields_of_the_page():
    """So has an organisation, a record and a stay."""
    for kind, form in letters.DATA.items():
        rows = PAGE.partition(f"### `{kind}`\n")[2].partition("\n### ")[0]
        found = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", rows, re.MULTILINE)
        if kind == "status":
            found = found[:3]  # an organisation follows
        assert {name if needed == "yes" else f"{name}?" for name, needed in found} == {*form.fields}
    for name, form in (("`record`:", letters.RECORD), ("Each of the `stays`:", letters.STAY)):
        rows = PAGE.partition(f"\n{name}\n")[2].lstrip().partition("\n\n")[0]
        found = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", rows, re.MULTILINE)
        assert {one if needed == "yes" else f"{one}?" for one, needed in found} == {*form.fields}


def test_numbers_and_names():
    """Checksums by GB 11643; a wide number is the same number."""
    for nth in range(50):
        person = people.member(3, "FJ", nth)
        assert people.is_number(person["number"]) and len(person["number"]) == 18
        wide = person["number"].translate(people.WIDE)
        assert people.tidy(f" {wide.lower()} ") == person["number"]
        assert not people.is_number(people.member(3, "FJ", nth, wrong=True)["number"])
    names = [row[3] for row in people.organisations()]
    assert len({*names}) == len(names) and max(map(len, names)) <= 300
    assert any("\uff10" <= letter <= "\uff19" for name in names for letter in name)
