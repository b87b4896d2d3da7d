"""examples/: a consumer and a receiver that are killed at random, beside an app that is, end with what SCIM shows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import HTTPServer
from pathlib import Path
from threading import Timer
from types import ModuleType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from tests.conftest import TABLE

ROOT = Path(__file__).parents[2]
TENANT = "examples"
KEYS = {name: new_key(name) for name in (TENANT, "follower")}
JSON = "application/scim+json"
MANAGER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"


def load(name: str) -> ModuleType:
    """An example as a module."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec and spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def running(*command: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    environment = {**os.environ, **more}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def served(azurite: Azurite) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The app in a process, and its URL."""
    operator = {"operator": {"tenants": [TENANT], "rights": ["feed", "read"]}, "keys": [KEYS["follower"]]}
    connections = {TENANT: {"tenant": TENANT, "keys": [KEYS[TENANT]]}, "follower": operator}
    settings = {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "HALT": "1000000 before",
    }
    with running(sys.executable, "-m", "tests.serve", **settings) as process:
        assert process.stdout
        yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"


def ask(url: str, method: str, path: str, body: object = None) -> Any:
    """The answer to a customer's request; None if there is none."""
    headers = {"Authorization": f"Bearer {KEYS[TENANT]}", "Content-Type": JSON}
    data = None if body is None else json.dumps(body).encode()
    with suppress(HTTPError, URLError, OSError):
        request = Request(f"{url}/scim{path}", data, headers, method=method)
        with urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")
    return None


def work(url: str, dice: random.Random, number: int) -> None:
    """Some changes, of which some may fail: somebody kills the app."""
    users = [each["id"] for each in (ask(url, "GET", "/Users?count=100") or {}).get("Resources", [])]
    groups = [each["id"] for each in (ask(url, "GET", "/Groups?count=100") or {}).get("Resources", [])]
    for one in range(8):
        name = f"{number}-{one}"
        if made := ask(url, "POST", "/Users", {"userName": f"user-{name}@x.example", "displayName": name}):
            users.append(made["id"])
        if one % 4 == 0 and (made := ask(url, "POST", "/Groups", {"displayName": f"group {name}"})):
            groups.append(made["id"])
        if users and groups:
            members = [{"value": id} for id in dice.sample(users, min(3, len(users)))]
            operation = {"op": dice.choice(["add", "remove"]), "path": "members", "value": members}
            ask(url, "PATCH", f"/Groups/{dice.choice(groups)}", {"Operations": [operation]})
            disabled = {"op": "replace", "path": "active", "value": dice.random() < 0.5}
            ask(url, "PATCH", f"/Users/{dice.choice(users)}", {"Operations": [disabled]})
            manager = {"op": "replace", "path": MANAGER, "value": dice.choice(users)}
            ask(url, "PATCH", f"/Users/{dice.choice(users)}", {"Operations": [manager]})
        if users and one % 5 == 4:
            ask(url, "DELETE", f"/Users/{users.pop(dice.randrange(len(users)))}")


def shown(service: Any) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    """What SCIM shows: documents by id, and memberships."""
    strip = load("consumer").strip
    found = [each for what in ("Users", "Groups") for each in service.resources(TENANT, what)]
    documents = {each["id"]: strip(each) for each in found}
    return documents, {(each["id"], m["value"]) for each in found for m in each.get("members", [])}


def copied(copy: Any) -> tuple[dict[str, Any], set[tuple[str, str]]]:
    rows = copy.database.execute("SELECT id, document FROM resources WHERE tenant = ?", (TENANT,))
    members = copy.database.execute("SELECT grp, member FROM memberships WHERE tenant = ?", (TENANT,))
    return {id: json.loads(text) for id, text in rows}, set(members)


@pytest.mark.long
def test_a_consumer_ends_with_what_scim_shows(azurite: Azurite, tmp_path: Path) -> None:
    dice, path = random.Random(17), str(tmp_path / "copy.db")
    consumer = (sys.executable, "examples/consumer.py", path)
    for number in range(4):
        with served(azurite) as (app, url), running(*consumer, FEED_URL=url, FEED_TOKEN=KEYS["follower"]) as follower:
            kills = [Timer(dice.uniform(0.3, 1.0), follower.kill), Timer(dice.uniform(0.3, 1.0), app.kill)]
            for kill in kills[: number % 3]:
                kill.start()
            work(url, dice, number)
            for kill in kills:
                kill.cancel()
            time.sleep(dice.uniform(0, 0.5))
    module = load("consumer")
    copy = module.Copy(path)
    with served(azurite) as (_, url):
        service = module.Service(url, KEYS["follower"])
        assert [*service.tenants()] == [TENANT]
        module.follow(service, copy, TENANT)
        documents, members = shown(service)
        assert copied(copy) == (documents, members)
        assert len(documents) > 10
        again = module.Copy(str(tmp_path / "again.db"))  # from a cursor that leads nowhere
        again.database.execute("INSERT INTO cursors VALUES (?, '00000000_1')", (TENANT,))
        module.follow(service, again, TENANT)
        assert copied(again) == (documents, members)
        page = service.get(f"/feed/{TENANT}")
        received = receive(load("webhook_receiver"), module, str(tmp_path / "hook.db"), service, page)
        assert copied(received) == (documents, members)


def receive(receiver: Any, module: Any, path: str, service: Any, page: Any) -> Any:
    """A copy that got all events as messages of a few, each of them twice, and one of a stranger's."""
    secret, events = "whsec_" + base64.b64encode(b"k" * 32).decode(), page["events"]
    epoch = page["next"].partition("_")[0]
    server: list[HTTPServer] = []
    ready = threading.Event()

    def serve() -> None:
        server.append(HTTPServer(("127.0.0.1", 0), receiver.receive(module.Copy(path), service, secret)))
        ready.set()
        server[0].serve_forever()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait(10)
    url = f"http://127.0.0.1:{server[0].server_port}/"
    try:
        for at in range(0, len(events), 7):
            some = events[at : at + 7]
            data = {"tenant": TENANT, "events": some, "next": f"{epoch}_{some[-1]['seq']}"}
            for key in (secret, "whsec_" + base64.b64encode(b"s" * 32).decode(), secret):
                assert send(url, json.dumps({"data": data}).encode(), key) == (204 if key == secret else 401)
    finally:
        server[0].shutdown()
        server[0].server_close()
        thread.join()
    return module.Copy(path)


def send(url: str, body: bytes, secret: str) -> int:
    stamp = str(int(time.time()))
    mac = hmac.new(base64.b64decode(secret[6:]), f"m.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(b'x' * 32).decode()} v1,{base64.b64encode(mac).decode()}"
    headers = {"webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": signature}
    try:
        with urlopen(Request(url, body, headers), timeout=20) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code


class Ring:
    """What a queue trigger hands over."""

    def get_json(self) -> Any:
        return {"tenant": TENANT, "seq": 1}


def test_the_functions_app_follows_whoever_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    load("consumer")
    spec = importlib.util.spec_from_file_location("rung", ROOT / "examples/functions_consumer/function_app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    functions = {each.get_function_name(): each.get_user_function() for each in module.app.get_functions()}
    assert set(functions) == {"rung", "look"}
    rung: list[str] = []
    monkeypatch.setattr(module, "follow", lambda service, copy, tenant: rung.append(tenant))
    monkeypatch.setattr(module, "_copy", lambda: None)
    monkeypatch.setenv("FEED_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("FEED_TOKEN", "x")
    functions["rung"](Ring())
    assert rung == [TENANT]
