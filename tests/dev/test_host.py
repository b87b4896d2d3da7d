"""The local host does to requests and timers what the host in Azure does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from aiohttp import ClientSession

from dev.azurite import free_port
from dev.host import (
    BODY_LIMIT,
    MAX_BODY,
    MAX_HEADERS,
    Answer,
    Host,
    read_body_limit,
    read_custom_headers,
    read_route_prefix,
    serve,
)
from dev.routes import compile_route, decode_path
from dev.timers import next_run
from tests.core import cases

ORIGIN = "http://127.0.0.1:7071"


def echo(request: func.HttpRequest, name: str) -> func.HttpResponse:
    """What reached the function of that name."""
    seen = {
        "function": name,
        "method": request.method,
        "url": request.url,
        "params": dict(request.params),
        "route": dict(request.route_params),
        "headers": dict(request.headers),
        "body": request.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


def app_of(*routes: str, methods: list[str] | None = None) -> func.FunctionApp:
    """An app with one echoing function for each route, named by its route."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for route in routes:
        add(app, route, lambda req, route=route: echo(req, route), methods)
    return app


def add(app: func.FunctionApp, route: str, handler: Callable[..., Any], methods: list[str] | None = None) -> None:
    app.function_name(name=f"f{len(app._function_builders)}")(app.route(route=route, methods=methods)(handler))


def app_with(handler: Callable[..., Any]) -> func.FunctionApp:
    """An app whose only function is `handler`, at /it."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    add(app, "it", handler)
    return app


async def seen_by(host: Host, path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    answer = await host.request(method, ORIGIN + path, **more)
    assert answer.status == 200, f"{method} {path} gave {answer.status}"
    return dict(json.loads(answer.body))


@asynccontextmanager
async def served(app: func.FunctionApp) -> AsyncIterator[int]:
    """The app behind a socket; its port."""
    port = free_port()
    runner = await serve(Host(app), port)
    try:
        yield port
    finally:
        await runner.cleanup()


async def exchange(port: int, request: bytes) -> tuple[int, bytes]:
    """Send bytes, return the status and the body of what comes back; the request must ask for Connection: close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1]), body


# Routes


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("users", "/users", {}),
        ("users", "/USERS/", {}),
        ("users", "/users/x", None),
        ("/users/", "/users", {}),
        ("users/{id}", "/Users/Ab", {"id": "Ab"}),
        ("users/{id}", "/users/ab/", {"id": "ab"}),
        ("users/{id}", "/users", None),
        ("users/{id}", "/users/a/b", None),
        ("users/{id?}", "/users", {}),
        ("users/{id?}", "/users/a", {"id": "a"}),
        ("users/{id?}", "/users/a/b", None),
        ("{kind}/{id}", "/a/b", {"kind": "a", "id": "b"}),
        ("n/{id:int}", "/n/-42", {"id": "-42"}),
        ("n/{id:int}", "/n/4x", None),
        ("n/{id:int?}", "/n", {}),
        ("n/{id:alpha}", "/n/abC", {"id": "abC"}),
        ("n/{id:alpha}", "/n/ab1", None),
        ("n/{id:guid}", "/n/0f8fad5b-d9cb-469f-a165-70867728950e", {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        ("n/{id:guid}", "/n/0f8fad5b", None),
        ("n/{id:length(2)}", "/n/ab", {"id": "ab"}),
        ("n/{id:length(2)}", "/n/abc", None),
        ("n/{id:length(2,4)}", "/n/abc", {"id": "abc"}),
        ("n/{id:length(2,4)}", "/n/abcde", None),
        ("scim/{*rest}", "/scim", {}),
        ("scim/{*rest}", "/scim/", {}),
        ("scim/{*rest}", "/scim/a/b/", {"rest": "a/b/"}),
        ("scim/{*rest}", "/scim//a", {"rest": "/a"}),
        ("scim/{*rest}", "/scims", None),
        ("{*rest}", "/", {}),
        ("{*rest}", "/a\nb", {"rest": "a\nb"}),
        ("", "/", {}),
        ("", "/a", None),
        ("a.b", "/axb", None),
    ],
)
def test_route_template(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert compile_route(template).match(path) == expected


@pytest.mark.parametrize(
    "template",
    ["{id:regex(a)}", "{id=5}", "a-{id}", "{*rest}/a", "{id?}/a", "{id", "{id:int:length(3)}", "{*rest:int}", "{a}{b}"],
)
def test_unsupported_route_template(template: str) -> None:
    with pytest.raises(ValueError, match=r"route|catch-all"):
        compile_route(template)


def test_decode_path() -> None:
    assert decode_path("/a%20b/%C3%A4/x%2Fy%2fz/%22/%ff/100%/%2541") == '/a b/ä/x%2Fy%2fz/"/%ff/100%/%41'


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/users/me", "users/me"),
        ("/users/42", "users/{id:int}"),
        ("/users/else", "users/{id}"),
        ("/users/else/more", "{*rest}"),
        ("/users", "{*rest}"),
        ("/", "{*rest}"),
        ("/groups/x", "groups/{*rest}"),
        ("/groups", "groups/{*rest}"),
        ("/groups/x/members", "groups/{id}/members"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
async def test_precedence(path: str, function: str, turned: bool) -> None:
    routes = ["{*rest}", "users/{id}", "users/{id:int}", "users/me", "groups/{*rest}", "groups/{id}/members"]
    host = Host(app_of(*(reversed(routes) if turned else routes)))
    assert (await seen_by(host, path))["function"] == function


async def test_route_prefix() -> None:
    host = Host(app_of("users"), route_prefix="api/v2")
    assert (await seen_by(host, "/api/v2/users"))["function"] == "users"
    assert (await host.request("GET", f"{ORIGIN}/users")).status == 404


async def test_default_route_is_the_function_name() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route()
    async def hello(req: func.HttpRequest) -> func.HttpResponse:
        return echo(req, "hello")

    assert (await seen_by(Host(app), "/hello"))["function"] == "hello"


async def test_blueprint_and_second_host_of_one_app() -> None:
    blueprint = func.Blueprint()
    blueprint.function_name(name="b")(blueprint.route(route="b")(lambda req: echo(req, "b")))
    app = app_of("a")
    app.register_functions(blueprint)
    for host in (Host(app), Host(app)):
        assert (await seen_by(host, "/b"))["function"] == "b"


def test_two_functions_of_one_name() -> None:
    app = func.FunctionApp()
    for route in ("a", "b"):
        app.function_name(name="same")(app.route(route=route)(lambda req: echo(req, "same")))
    with pytest.raises(ValueError, match="same"):
        Host(app)


@pytest.mark.parametrize("path", ["/other", "/users"])
async def test_not_found_and_wrong_method(path: str) -> None:
    host = Host(app_of("users", methods=["POST", "PUT"]))
    assert await host.request("GET", ORIGIN + path) == Answer(404)
    assert (await seen_by(host, "/users", "PUT"))["method"] == "PUT"


async def test_wrong_method_falls_to_the_next_route() -> None:
    app = app_of("users", methods=["POST"])
    add(app, "{*rest}", lambda req: echo(req, "fallback"))
    assert (await seen_by(Host(app), "/users", "DELETE"))["function"] == "fallback"


@pytest.mark.parametrize("path", ["/admin", "/Admin/host/status", "/runtime/webhooks/x", "/admin/functions/f0"])
async def test_reserved_paths_reach_no_function(path: str) -> None:
    host = Host(app_of("{*rest}"))
    assert await host.request("POST", ORIGIN + path) == Answer(404)
    assert (await seen_by(host, "/administrators"))["function"] == "{*rest}"


# Requests


async def test_route_params_are_decoded_but_for_slashes() -> None:
    seen = await seen_by(Host(app_of("users/{id}")), "/users/a%20b%2Fc%22")
    assert seen["route"] == {"id": 'a b%2Fc"'}
    assert seen["url"] == f"{ORIGIN}/users/a%20b%2Fc%22"


async def test_params() -> None:
    query = '/q?a=1&a=2&A=3&empty=&bare&b=x+y%20z&filter=userName eq "a"'
    seen = await seen_by(Host(app_of("q")), query)
    assert seen["params"] == {"a": "1,2,3", "b": "x y z", "filter": 'userName eq "a"'}
    assert seen["url"] == ORIGIN + query


async def test_headers() -> None:
    seen = await seen_by(Host(app_of("h")), "/h", headers={"X-One": "1", "Host": "example.com"})
    assert seen["headers"] == {"x-one": "1", "host": "example.com"}
    assert seen["url"] == "http://example.com/h"


async def test_body_needs_a_content_length() -> None:
    host = Host(app_of("b"))
    seen = await seen_by(host, "/b", "POST", body=b"text")
    assert (seen["body"], seen["headers"]["content-length"]) == ("text", "4")
    seen = await seen_by(host, "/b", "POST", body=b"text", headers={"Transfer-Encoding": "chunked"})
    assert (seen["body"], seen["headers"].get("content-length")) == ("", None)


async def test_body_limit() -> None:
    host = Host(app_with(lambda req: func.HttpResponse(str(len(req.get_body())))))
    assert (await host.request("POST", f"{ORIGIN}/it", body=bytes(MAX_BODY))).body == b"104857600"
    assert await host.request("POST", f"{ORIGIN}/it", body=bytes(MAX_BODY + 1)) == Answer(500)


async def test_body_limit_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BODY_LIMIT, "10")
    host = Host(app_with(lambda req: func.HttpResponse(str(len(req.get_body())))))
    assert (await host.request("POST", f"{ORIGIN}/it", body=bytes(10))).body == b"10"
    assert await host.request("POST", f"{ORIGIN}/it", body=bytes(11)) == Answer(500)


@pytest.mark.parametrize(("text", "limit"), [(None, MAX_BODY), ("", MAX_BODY), (" 8454144 ", 8454144)])
def test_read_body_limit(text: str | None, limit: int) -> None:
    assert read_body_limit({} if text is None else {BODY_LIMIT: text}) == limit


@pytest.mark.parametrize("text", ["0", "-1", "8MB", "1e6", "²"])
def test_body_limit_that_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number of bytes"):
        read_body_limit({BODY_LIMIT: text})


# Responses


async def test_response_headers() -> None:
    async def handler(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(status_code=201, headers={"ETag": 'W/"1"', "X-Given": "yes"}, mimetype="a/b")

    answer = await Host(app_with(handler)).request("POST", f"{ORIGIN}/it")
    assert answer == Answer(201, answer.headers)
    assert dict(answer.headers) == {"ETag": 'W/"1"', "X-Given": "yes", "Content-Type": "a/b"}
    assert answer.headers["content-type"] == "a/b"


@pytest.mark.parametrize(
    ("response", "content_type"),
    [
        (func.HttpResponse("x"), "text/plain; charset=utf-8"),
        (func.HttpResponse("x", mimetype="application/scim+json"), "application/scim+json"),
        (func.HttpResponse("x", headers={"content-type": "a/b; charset=c"}, mimetype="d/e"), "a/b; charset=c"),
    ],
)
async def test_content_type(response: func.HttpResponse, content_type: str) -> None:
    answer = await Host(app_with(lambda req: response)).request("GET", f"{ORIGIN}/it")
    assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize("returned", [None, {"a": 1}, "text"])
async def test_no_response_is_500(returned: object, caplog: pytest.LogCaptureFixture) -> None:
    answer = await Host(app_with(lambda req: returned)).request("GET", f"{ORIGIN}/it")
    assert answer == Answer(500)
    assert f"returned {type(returned).__name__}" in caplog.text


async def test_exception_is_500_with_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(req: func.HttpRequest) -> func.HttpResponse:
        raise RuntimeError("the reason")

    assert await Host(app_with(handler)).request("GET", f"{ORIGIN}/it") == Answer(500)
    assert "Traceback" in caplog.text and "the reason" in caplog.text


async def test_sync_function_does_not_hold_up_the_loop() -> None:
    loop, release = asyncio.get_running_loop(), asyncio.Event()

    def handler(req: func.HttpRequest) -> func.HttpResponse:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
        return func.HttpResponse("done")

    pending = asyncio.create_task(Host(app_with(handler)).request("GET", f"{ORIGIN}/it"))
    await asyncio.sleep(0)
    release.set()
    assert (await pending).body == b"done"


# Behind a socket


async def test_raw_query_through_a_socket() -> None:
    async with served(app_of("q")) as port:
        target = b'/q?filter=userName+eq+"a%20b"&empty=&a=1&a=2'
        request = b"GET " + target + b" HTTP/1.1\r\nHost: scim.test\r\nX-A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n"
        status, body = await exchange(port, request)
    seen = json.loads(body)
    assert status == 200
    assert seen["url"] == "http://scim.test" + target.decode()
    assert seen["params"] == {"filter": 'userName eq "a b"', "a": "1,2"}
    assert seen["headers"]["x-a"] == "1,2"


async def test_chunked_body_is_lost() -> None:
    async with served(app_of("b")) as port, ClientSession() as client:

        async def chunks() -> AsyncIterator[bytes]:
            yield b"lost"

        for _ in range(2):  # the connection survives
            async with client.post(f"http://127.0.0.1:{port}/b", data=chunks()) as response:
                seen = await response.json()
                assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("", "chunked")
        async with client.post(f"http://127.0.0.1:{port}/b", data=b"kept") as response:
            assert (await response.json())["body"] == "kept"


async def test_compressed_body_is_left_alone() -> None:
    async with served(app_of("b")) as port, ClientSession() as client:
        async with client.post(
            f"http://127.0.0.1:{port}/b", data=b"not gzip", headers={"Content-Encoding": "gzip"}
        ) as response:
            assert (await response.json())["body"] == "not gzip"


async def test_long_query_reaches_the_function() -> None:
    async with served(app_with(lambda req: func.HttpResponse(str(len(req.params["f"]))))) as port:
        request = b"GET /it?f=" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert await exchange(port, request) == (200, b"1000000")


async def test_too_large_body_through_a_socket() -> None:
    async with served(app_of("b")) as port:
        head = f"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: {MAX_BODY + 1}\r\nConnection: close\r\n\r\n"
        assert await exchange(port, head.encode()) == (500, b"")


REFUSED = {
    "NUL in the path": (b"GET /it%00 HTTP/1.1\r\n", 400),
    "long headers": (b"GET /it HTTP/1.1\r\nX-Long: " + b"x" * MAX_HEADERS + b"\r\n", 431),
    "nobody there": (b"GET /nobody HTTP/1.1\r\n", 404),
    "out of the route": (b"GET /it/../nobody HTTP/1.1\r\n", 404),
}


@pytest.mark.parametrize(("head", "status"), cases(REFUSED))
async def test_what_the_host_refuses_has_no_body(head: bytes, status: int) -> None:
    async with served(app_of("u")) as port:
        assert await exchange(port, head + b"Host: a\r\nConnection: close\r\n\r\n") == (status, b"")


async def test_dots_are_resolved_before_routing() -> None:
    async with served(app_of("u")) as port:
        head = b"GET /x/%2E%2e/./u?a=/../b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        status, body = await exchange(port, head)
    assert (status, json.loads(body)["url"]) == (200, "http://a/u?a=/../b")


async def test_custom_headers_are_on_every_answer() -> None:
    port = free_port()
    runner = await serve(Host(app_of("u")), port, {"X-Content-Type-Options": "nosniff"})
    try:
        async with ClientSession() as client:
            for path in ("u", "nobody"):
                async with client.get(f"http://127.0.0.1:{port}/{path}") as response:
                    assert response.headers["X-Content-Type-Options"] == "nosniff"
    finally:
        await runner.cleanup()


async def test_head_and_no_content_through_a_socket() -> None:
    def handler(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(
            None if req.method == "DELETE" else "text", status_code=204 if req.method == "DELETE" else 200
        )

    async with served(app_with(handler)) as port, ClientSession() as client:
        async with client.head(f"http://127.0.0.1:{port}/it") as response:
            assert (response.status, response.headers["Content-Length"]) == (200, "4")
        async with client.delete(f"http://127.0.0.1:{port}/it") as response:
            assert (response.status, await response.read()) == (204, b"")


async def test_empty_answers_through_a_socket() -> None:
    async with served(app_with(lambda req: None)) as port, ClientSession() as client:
        for path, status in (("it", 500), ("other", 404)):
            async with client.get(f"http://127.0.0.1:{port}/{path}") as response:
                assert (response.status, await response.read()) == (status, b"")
                assert "Content-Type" not in response.headers


async def test_one_log_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dev.host.requests"):
        async with served(app_of("users")) as port, ClientSession() as client:
            for path in ("users?filter=secret", "other?filter=secret"):
                async with client.get(f"http://127.0.0.1:{port}/{path}"):
                    pass
    lines = [record.getMessage().split() for record in caplog.records if record.name == "dev.host.requests"]
    assert [line[:3] for line in lines] == [["GET", "/users", "200"], ["GET", "/other", "404"]]
    assert all(float(line[3]) >= 0 and len(line) == 4 for line in lines)


async def test_port_in_use() -> None:
    async with served(app_of("a")) as port:
        with pytest.raises(OSError):
            await serve(Host(app_of("a")), port)


# Timers


def timer_app(
    handler: Callable[[func.TimerRequest], Any], schedule: str = "0 0 0 1 1 *", *, on_startup: bool = False
) -> func.FunctionApp:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    trigger = app.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=on_startup)
    app.function_name(name="Tidy")(trigger(lambda timer: handler(timer)))
    add(app, "{*rest}", lambda req: echo(req, "rest"))
    return app


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("*/15 * * * * *", "2026-11-21 10:00:15"),
        ("0 */5 * * * *", "2026-11-21 10:05:00"),
        ("*/5 * * * *", "2026-11-21 10:05:00"),
        ("30 0 3 * * *", "2026-11-22 03:00:30"),
        ("0 0 0 * * Mon-Fri", "2026-11-23 00:00:00"),
        ("0 0 0 13 * 5", "2027-08-13 00:00:00"),  # both days must match: a Friday the 13th
    ],
)
def test_next_run(schedule: str, expected: str) -> None:
    now = datetime(2026, 11, 21, 10, 0, 0, 500_000, tzinfo=UTC)
    assert next_run(schedule, now) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["every day", "* * * *", "60 * * * * *", "%MISSING_SCHEDULE%"])
def test_bad_schedule(schedule: str) -> None:
    with pytest.raises(ValueError, match="timer Tidy"):
        Host(timer_app(lambda timer: None, schedule))


async def test_schedule_from_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDY_SCHEDULE", "* * * * * *")
    ran = asyncio.Event()
    loop = asyncio.get_running_loop()
    host = Host(timer_app(lambda timer: loop.call_soon_threadsafe(ran.set), "%TIDY_SCHEDULE%"))
    async with host.schedules():
        await asyncio.wait_for(ran.wait(), 3)


async def test_timer_on_demand() -> None:
    loop, ran = asyncio.get_running_loop(), asyncio.Event()
    host = Host(timer_app(lambda timer: loop.call_soon_threadsafe(ran.set)))
    assert await host.request("POST", f"{ORIGIN}/admin/functions/tidy", body=b"{}") == Answer(202)
    await asyncio.wait_for(ran.wait(), 5)
    assert (await host.request("GET", f"{ORIGIN}/admin/functions/tidy")).status == 404
    assert (await host.request("POST", f"{ORIGIN}/admin/functions/other")).status == 404


async def test_run_timer_passes_the_request_and_raises() -> None:
    def handler(timer: func.TimerRequest) -> None:
        raise RuntimeError(f"past due: {timer.past_due}")

    host = Host(timer_app(handler))
    with pytest.raises(RuntimeError, match="past due: False"):
        await host.run_timer("TIDY")
    with pytest.raises(KeyError):
        await host.run_timer("other")


@pytest.mark.parametrize("on_startup", [True, False])
async def test_run_on_startup(on_startup: bool) -> None:
    loop, ran = asyncio.get_running_loop(), asyncio.Event()
    host = Host(timer_app(lambda timer: loop.call_soon_threadsafe(ran.set), on_startup=on_startup))
    async with host.schedules():
        if on_startup:
            await asyncio.wait_for(ran.wait(), 5)
        else:
            await asyncio.sleep(0.05)
            assert not ran.is_set()


async def test_failing_timer_keeps_its_schedule(caplog: pytest.LogCaptureFixture) -> None:
    loop, runs = asyncio.get_running_loop(), asyncio.Queue[int]()

    def handler(timer: func.TimerRequest) -> None:
        loop.call_soon_threadsafe(runs.put_nowait, 1)
        raise RuntimeError("the reason")

    async with Host(timer_app(handler, "* * * * * *", on_startup=True)).schedules():
        for _ in range(2):
            await asyncio.wait_for(runs.get(), 3)
    assert "timer Tidy failed" in caplog.text and "the reason" in caplog.text


async def test_timer_never_overlaps_itself() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    running = most = runs = 0

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
    async def tidy(timer: func.TimerRequest) -> None:
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    host = Host(app)
    await asyncio.gather(*(host.run_timer("tidy") for _ in range(3)))
    assert (runs, most) == (3, 1)


async def test_server_stops_running_timers() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    ended = asyncio.Event()

    @app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
    async def tidy(timer: func.TimerRequest) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with asyncio.timeout(10), served(app):
        await asyncio.sleep(0.01)
        assert not ended.is_set()
    assert ended.is_set()


# host.json


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ('{"extensions": {"http": {"routePrefix": ""}}}', ""),
        ('{"extensions": {"http": {"routePrefix": "v2"}}}', "v2"),
        ('{"version": "2.0"}', "api"),
    ],
)
def test_read_route_prefix(text: str, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text(text)
    assert read_route_prefix(tmp_path / "host.json") == prefix


def test_read_custom_headers(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"extensions": {"http": {"customHeaders": {"X-A": "b"}}}}')
    assert read_custom_headers(tmp_path / "host.json") == {"X-A": "b"}
    (tmp_path / "host.json").write_text("{}")
    assert read_custom_headers(tmp_path / "host.json") == {}
