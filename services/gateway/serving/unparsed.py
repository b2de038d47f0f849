"""What is answered to a request that cannot be parsed, before the application has seen it.

It is a problem document like any other refusal.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from waitress.task import ErrorTask
from waitress.utilities import RequestEntityTooLarge, RequestHeaderFieldsTooLarge

from shared.errors import Refusal
from shared.translations import N_


def refusal_of(error: Any, longest_header: int, largest_body: int) -> Refusal:
    """Return the refusal that an error of the parser is; what it says of the request is not passed on."""
    if isinstance(error, RequestHeaderFieldsTooLarge):
        return Refusal("header_too_large", {"limit": f"{longest_header // 1024} KiB"})
    if isinstance(error, RequestEntityTooLarge):
        return Refusal("too_large", {"limit": f"{largest_body // 2**20} MiB"})
    return Refusal(
        "bad_request", {"detail": N_("不是HTTP请求")}
    )  # an encoding that we do not know is the sender's fault, too


class UnparsedTask(ErrorTask):  # type: ignore[misc]
    """Answers with a problem document and closes the connection."""

    def execute(self) -> None:
        """Write the answer."""
        adjustments = self.channel.server.adj
        refusal = refusal_of(
            self.request.error, adjustments.max_request_header_size, adjustments.max_request_body_size
        )
        status = {
            400: "400 Bad Request",
            413: "413 Content Too Large",
            431: "431 Request Header Fields Too Large",
        }[refusal.kind.status]
        body = msgspec.json.encode(
            {
                "type": f"urn:tuanqiao:problem:{refusal.code}",
                "title": refusal.say("zh"),
                "status": refusal.kind.status,
                "code": refusal.code,
                "detail": refusal.say("en"),
                "message": {"zh": refusal.say("zh"), "en": refusal.say("en")},
                "rule": refusal.kind.rule,
                "request_id": uuid.uuid4().hex,
            }
        )
        self.status = status
        self.response_headers += [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
