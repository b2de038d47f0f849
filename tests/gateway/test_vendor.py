"""Files of others that are shipped: unchanged, and with their licence."""

import hashlib

from services.gateway import app

VENDOR = app.Path(app.__file__).parent / "static" / "vendor"


def test_vendored_files_are_what_they_were():
    """Every script and icon in static/vendor has its checksum in SHA256SUMS and a licence beside it."""
    sums = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    files = [*VENDOR.glob("*.js"), *VENDOR.glob("*.svg")]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files} == sums
    assert (VENDOR / "htmx-LICENSE.txt").read_text().startswith("Zero-Clause BSD")
    assert (VENDOR / "lucide-LICENSE.txt").read_text().startswith("ISC License")
