"""The hook after a deployment, and the command for people, against servers that answer what a deployment may answer."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dev.azurite import free_port
from scim.operate import deployment
from scim.operate.deployment import Answer
from scim.operate.tool.main import main
from tests.core import cases
from tests.infra.conftest import ROOT

WORKS = (200, '{"status": "ok", "table": "ok", "connections": "ok"}')
NO_TABLE = (503, '{"status": "failing", "table": "failing", "connections": "ok"}')
NO_VAULT = (503, '{"status": "failing", "table": "ok", "connections": "failing"}')
WRONG_SETTING = (503, '{"status": "503", "detail": "SCIM_PAGE_SIZE: must be a number."}')

FAILING = {
    "not indexed": ((404, ""), "found no functions", "--platform-version", "3.13", "func-x, Deployment Center"),
    "starting": ((503, ""), "the host does not run yet"),
    "table": (NO_TABLE, "Storage Table Data Contributor", "ten minutes"),
    "vault": (NO_VAULT, "Key Vault Secrets User", "ten minutes"),
    "setting": (WRONG_SETTING, "SCIM_PAGE_SIZE: must be a number."),
    "worker died": ((500, ""), "Application Insights says why"),
    "closed": ((403, "Forbidden"), "is not open to this address"),
    "another service": ((200, "<html>"), "something else than this app answers"),
}


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[str]:
    """A server that gives these answers to /health in order, the last one for ever; its tenant URL."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status if self.path == "/health" else 418)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/scim"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_hook(**environment: str) -> subprocess.CompletedProcess[str]:
    """The hook as azd runs it, without patience."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("SCIM_", "AZURE_"))}
    environment = {**bare, "SCIM_CHECK_SECONDS": "0.01", "AZURE_FUNCTION_APP_NAME": "func-x", **environment}
    command = [sys.executable, "infra/hooks/check_deployment.py"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_hook_says_that_the_app_works() -> None:
    with answering(WORKS) as url:
        done = run_hook(SCIM_TENANT_URL=url)
    assert (done.returncode, url in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize("case", cases({name: (row,) for name, row in FAILING.items()}))
def test_the_hook_explains_what_is_wrong(case: tuple[tuple[int, str], *tuple[str, ...]]) -> None:
    answer, *texts = case
    with answering(answer) as url:
        done = run_hook(SCIM_TENANT_URL=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The app is deployed, but does not work." in done.stderr
    assert all(text in done.stderr for text in texts), done.stderr
    assert f"python -m scim deployment check {url}" in done.stderr


def test_the_hook_without_anybody_there() -> None:
    done = run_hook(SCIM_TENANT_URL=f"http://127.0.0.1:{free_port()}/scim")
    assert done.returncode == 1
    assert "No answer: [Errno" in done.stderr and "is the app started?" in done.stderr


def test_the_hook_asks_nobody_where_only_entra_may() -> None:
    done = run_hook(SCIM_TENANT_URL="https://example.invalid/scim", SCIM_ENTRA_ONLY="true")
    assert done.returncode == 0
    assert "Test Connection in Entra does" in done.stdout
    assert run_hook().returncode == 2


def test_it_waits_until_roles_work(capsys: pytest.CaptureFixture[str]) -> None:
    """A new deployment: no name, no host, no code, no role, then everything."""
    answers = [Answer(0, "Name or service not known"), Answer(503, ""), Answer(404, ""), Answer(404, "")]
    answers += [Answer(*NO_TABLE), Answer(*WORKS)]
    asked: list[str] = []
    now = [0.0]

    def ask(address: str) -> Answer:
        asked.append(address)
        return answers[len(asked) - 1]

    def pause(seconds: float) -> None:
        now[0] += seconds

    assert deployment.check("https://x.example/scim", ask=ask, pause=pause, clock=lambda: now[0]).works
    assert asked == ["https://x.example/health"] * 6
    lines = capsys.readouterr().err.splitlines()
    ends = ["Name or service not known", "503", "404", "503, failing: table", "200, everything works"]
    assert lines == [f"https://x.example/health: {end}" for end in ends], "a line for each news"


def test_patience_ends() -> None:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    last = deployment.check("x.example", ask=lambda _: Answer(404, ""), pause=pause, clock=lambda: now[0])
    assert last.status == 404
    assert 290 <= now[0] <= 300


ADDRESSES = {
    "tenant URL": ("https://a.example/scim", "https://a.example/health"),
    "with a slash": ("https://a.example/scim/", "https://a.example/health"),
    "app": ("https://a.example", "https://a.example/health"),
    "health": ("https://a.example/health", "https://a.example/health"),
    "name alone": ("a.example", "https://a.example/health"),
    "behind a gateway": ("https://a.example/x/scim", "https://a.example/x/health"),
}


@pytest.mark.parametrize(("url", "address"), cases(ADDRESSES))
def test_address_of_health(url: str, address: str) -> None:
    assert deployment.find_health(url) == address


NO_ADDRESSES = [
    "ftp://x",
    "http://[",
    "http://[::1",
    "http://x:y/scim",
    "http://x:0",
    "http://a b/scim",
    "https://x\x1b[2J",
    "",
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deployment", "check", url, "--wait", "0"]) == 1
    told = capsys.readouterr().err
    assert "is no address; give the tenant URL" in told and "\x1b" not in told


EVIL = (
    '{"status": "x", "detail": "\\u001b[2Jgone\\r\\n\\u202e'
    + "x" * 5000
    + '", "\\u001b[31mred": "failing", "table": "ok"}'
)
STRANGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "nothing": b"",
    "no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a header without an end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    "more headers than are read": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "less than it says": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "deeper than a parser goes": b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 60_000,
    "what moves the cursor": b"HTTP/1.1 503 x\r\n\r\n" + EVIL.encode(),
    "text that is none": b"HTTP/1.1 500 x\r\n\r\n\xff\xfe\x00",
    "to a file": b"HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\n\r\n",
    "round and round": b"HTTP/1.1 302 x\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", cases(STRANGE))
def test_whatever_answers(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has the name by now may answer anything: the check goes on, and shows nothing that a terminal obeys."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            assert main(["deployment", "check", f"http://127.0.0.1:{server.server_address[1]}", "--wait", "0"]) == 1
        finally:
            server.shutdown()
    told = capsys.readouterr().err
    assert told and len(told) < 3000 and all(line.isprintable() for line in told.splitlines()), told


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with answering((503, ""), WORKS) as url:
        assert main(["deployment", "check", url, "--wait", "0"]) == 1
        assert "503: the host does not run yet" in capsys.readouterr().err
        assert main(["deployment", "check", url, "--wait", "0"]) == 0
        assert capsys.readouterr().out == "The deployment works: the host, the app, its table and its connections.\n"
        assert main(["deployment", "check", url, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["answer"]["table"] == "ok"
    assert main(["deployment", "check", "ftp://x"]) == 1
    assert "is no address; give the tenant URL" in capsys.readouterr().err
