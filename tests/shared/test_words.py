"""Codes and their words: one home, readable by other versions, and what a new one takes."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from typing import Any

import msgspec
import pytest

from shared.messages import words
from tests.installation import ROOT

ENTRIES = tomllib.loads((ROOT / "shared/messages/words/reasons.toml").read_text("utf-8"))
NEW = """
[elder_care]
zh = "回乡照料家人"
place_address = "户籍地或居住地详细地址"
counts_in = "XS"
graduate = true
rejections = ["not_here", "other"]
rule = "TYPE-01"
to = { school = "forbid" }
"""
ASKED = """
import json
from services.gateway.api import openapi
from services.gateway.files import sheet
from services.gateway.pages import starting as pages
from services.transfers import domain
from services.transfers.figures import store as figures
from shared.messages.words import Reason, rejections_for
from tests.transfers.domain_factories import CLASS, PLACES, request

def refused(place, **given):
    refusal = domain.check_request(request(reason="elder_care", **given), CLASS, PLACES[place])
    return refusal and refusal.code

schemas = openapi.document()["components"]["schemas"]
home = {"place_name": "", "place_address": "某镇", "place_division": "420106"}
print(json.dumps({
    "taken": refused("township", **home),
    "asked for": refused("township", **(home | {"place_address": ""})),
    "forbidden": refused("school", **home),
    "offered": [pages.fits(Reason("elder_care"), graduate) for graduate in (True, False)],
    "needed": pages.NEEDED["elder_care"],
    "against it": rejections_for(["elder_care"]),
    "documents": ["elder_care" in one["enum"] for one in (
        schemas["Reason"], schemas["RequestTransfer"]["properties"]["reason"])],
    "cell": sheet._cell("reason", Reason("elder_care")),
    "counts": "WHEN 'elder_care' THEN 'XS'" in figures._RATE,
}, ensure_ascii=False))
"""


def test_a_reason_is_added_in_one_file(tmp_path):
    """TYPE-01: a reason that is written into `reasons.toml` is one everywhere; no other file is touched.

    Rules, pages, what an approver may say, documents, spreadsheets and figures are derived from it; its
    English is a line of the catalogue. The
    program is asked in another process, since it reads the file when it starts.
    """
    shutil.copytree(ROOT / "shared", tmp_path / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("services", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    with (tmp_path / "shared/messages/words/reasons.toml").open("a", encoding="utf-8") as file:
        file.write(NEW)

    done = subprocess.run(
        [sys.executable, "-c", ASKED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "taken": None,
        "asked for": "field_missing",
        "forbidden": "destination_forbidden",
        "offered": [True, False],
        "needed": {"place_address": "户籍地或居住地详细地址"},
        "against it": ["not_here", "other"],
        "documents": [True, True],
        "cell": "回乡照料家人",
        "counts": True,
    }


@pytest.mark.parametrize("reason", words.Reason)
def test_entries_of_reasons_are_understood(reason):
    """An entry of `reasons.toml` has no field that nobody reads, and no code that is in no list.

    Codes of other versions are read as they are, so a slip of the pen would go unnoticed without this.
    """
    entry = ENTRIES[reason]
    assert set(entry) <= {"zh", "en", *vars(reason)}
    assert entry["rule"] and reason.counts_in in ("", *words.Rate)
    assert reason.destination in ("chosen", "special", "own_abroad")
    assert set(reason.rejections) <= set(words.Rejection) and words.Rejection.OTHER in reason.rejections
    assert set(reason.to) <= set(words.DestinationClass) and set(reason.to.values()) <= set(words.Mode)


@pytest.mark.parametrize("codes", words.Code.__subclasses__(), ids=lambda codes: codes.__name__)
def test_codes_of_another_version_are_read(codes):
    """An answer with a code that is not in the list is read, says itself, and is sent on unchanged."""
    kind: Any = msgspec.defstruct("Answer", [("code", codes)])
    for code in ("of_tomorrow", ""):
        read = msgspec.json.decode(json.dumps({"code": code}), type=kind)
        assert read.code == code and (read.code.zh, read.code.en) == (code, code)
        assert msgspec.json.decode(msgspec.json.encode(read)) == {"code": code}
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode('{"code": 1}', type=kind)


def test_codes_are_text_on_the_wire():
    """A code is sent, kept and printed as its text, and is equal to it."""
    for code in (words.OrgKind.BRANCH, words.Reason("ordinary"), words.TransferState.OUT):
        assert json.loads(msgspec.json.encode(code)) == f"{code}" == str(code) == code
        assert json.dumps({code: code}) == json.dumps({str(code): str(code)})
