"""A process that reads one spreadsheet of a stranger and ends; `workbooks.py` starts it.

The file comes in on standard input, the rows or the refusal go out as JSON. Nothing here trusts the
file: limits are set first, the sizes that a packed file promises are looked at before it is
unpacked, and cells are taken only from a table of bounded size.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import zipfile

import msgspec

from services.gateway.files import roster
from shared.errors import Refusal, Refused

MEMORY = 512 * 2**20
"""Bytes of address space; the interpreter with its libraries takes some 120 MiB of it."""
CPU_SECONDS = 8
MAX_UNPACKED = 48 * 2**20
"""Bytes of all parts of a packed workbook together; a full roster has some 2 MiB."""
MAX_PARTS = 500
_XLSX, _XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


class Opened(msgspec.Struct, frozen=True):
    """What was read, or why not."""

    rows: list[roster.RosterRow] = []
    refused: Refusal | None = None


def limit() -> None:
    """Bound this process: memory, processor time, no files, no children, no core; and let others go first."""
    for what, most in (
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_AS, MEMORY),
    ):
        resource.setrlimit(what, (most, most))
    os.nice(10)


def check_package(content: bytes) -> None:
    """Refuse what is neither .xls nor .xlsx, and a package that unpacks to more than any roster.

    Raises:
        Refused: `roster_broken`.

    """
    if content.startswith(_XLS):
        return
    if not content.startswith(_XLSX):
        raise Refused("roster_broken", detail="不是有效的 .xlsx 或 .xls 文件")
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Refused("roster_broken", detail="不是有效的 .xlsx 或 .xls 文件") from error
    if not any(part.filename.lower() == "xl/workbook.xml" for part in parts):
        raise Refused("roster_broken", detail="不是有效的 .xlsx 或 .xls 文件")
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise Refused("roster_broken", detail="文件内容过大")


def read(content: bytes, own: bool, max_rows: int) -> Opened:
    """Return the rows of a roster or the refusal."""
    try:
        check_package(content)
        return Opened(rows=roster.read_roster(content, own, max_rows))
    except Refused as error:
        return Opened(refused=error.refusal)


def main() -> None:
    """Read standard input, write standard output.

    The arguments are `own` or `below`, the kind of roster, and the most rows that it may have.
    """
    limit()
    max_rows = int(sys.argv[2]) if len(sys.argv) > 2 else roster.MAX_ROWS
    answer = read(sys.stdin.buffer.read(), sys.argv[1:2] == ["own"], max_rows)
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.flush()
    os._exit(0)  # what is left in memory is nobody's concern


if __name__ == "__main__":
    main()
