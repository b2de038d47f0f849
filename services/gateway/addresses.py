"""Under which address people reach this installation.

A setting says it, never a header that anybody can write.
"""

from __future__ import annotations

import os

from flask import request


def public_root() -> str:
    """Return the address of the start page, with a slash at its end.

    Without the setting, as in development, it is what the request says.
    """
    given = os.environ.get("TUANQIAO_PUBLIC_URL", "").rstrip("/")
    return f"{given}/" if given else request.url_root
