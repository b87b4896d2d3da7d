"""Takes the events of the change feed as a webhook and applies them to the database of consumer.py.

    python -m scim feed sink add dev http://127.0.0.1:8080/
    WEBHOOK_SECRET=whsec_... python examples/webhook_receiver.py [DATABASE]

It checks the signature (Standard Webhooks 1.0), applies a message in one transaction and only then answers 204. What
was applied before is skipped by its number, since a message may come twice. Behind TLS elsewhere than on a laptop.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from consumer import Copy, Service

OLDEST = 300
"""Seconds after which a message is refused: it may be one that somebody recorded."""


def is_signed(headers: Any, body: bytes, secret: str) -> bool:
    """Whether a message is from somebody who has the secret, and was sent now."""
    id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > OLDEST:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(mac).decode()
    return any(hmac.compare_digest(signature, each) for each in headers.get("webhook-signature", "").split())


def fresh(copy: Copy, data: Any) -> list[Any]:
    """Return the events of a message that were not applied yet. The epoch begins anew with the log."""
    epoch, _, last = (copy.cursor(data["tenant"]) or "").partition("_")
    known = int(last) if epoch == data["next"].partition("_")[0] else 0
    return [event for event in data["events"] if event["seq"] > known]


def receive(copy: Copy, service: Service, secret: str) -> type[BaseHTTPRequestHandler]:
    """Return what handles a message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not is_signed(self.headers, body, secret):
                self.send_error(401)
                return
            data = json.loads(body)["data"]
            events = fresh(copy, data)
            if events:
                copy.apply(service, data["tenant"], {"events": events, "next": data["next"]})
            self.send_response(204)
            self.end_headers()

    return Handler


def main() -> None:
    """Take messages until this is stopped."""
    service = Service(os.environ.get("FEED_URL", "http://127.0.0.1:7071"), os.environ.get("FEED_TOKEN", ""))
    copy = Copy(sys.argv[1] if len(sys.argv) > 1 else "consumer.db")
    handler = receive(copy, service, os.environ["WEBHOOK_SECRET"])
    HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), handler).serve_forever()


if __name__ == "__main__":
    main()
