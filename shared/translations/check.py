"""Says what the catalogue lacks: texts without English, or whose English has other placeholders.

python -m shared.translations.check     after `make words`; a part of `make lint`
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from babel.messages.pofile import read_po

from shared.translations import DOMAIN, FOLDER

_PLACES = re.compile(r"%\(\w+\)[sd]|\{\w*\}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def faults() -> list[str]:
    """Return a line for each text of the template that has no English, or a wrong one."""
    with (FOLDER / f"{DOMAIN}.pot").open("rb") as wanted, catalogue_path().open("rb") as had:
        texts = [one.id for one in read_po(wanted) if one.id]
        catalogue = read_po(had, locale="en")
    found = []
    for text in texts:
        message = catalogue.get(text)
        if message is None or not message.string:
            found.append(f"no English: {text}")
        elif message.fuzzy:
            found.append(f"fuzzy: {text}")
        elif sorted(_PLACES.findall(str(message.string))) != sorted(_PLACES.findall(str(text))):
            found.append(f"other placeholders: {text} -> {message.string}")
        elif _CHINESE.search(str(message.string)):
            found.append(f"Chinese in the English: {text} -> {message.string}")
    return found


def catalogue_path() -> Path:
    """Return where the English is written."""
    return FOLDER / "en" / "LC_MESSAGES" / f"{DOMAIN}.po"


if __name__ == "__main__":
    lines = faults()
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(bool(lines))
