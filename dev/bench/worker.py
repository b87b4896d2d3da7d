"""The Python worker that runs in Azure, driven as the Functions host drives it, without the host.

From Python 3.13 on the worker's library is the package azure-functions-runtime; its handlers take the host's messages.
Those are protocol buffers over gRPC there; here they are objects with the same fields, since the library reads nothing
else of them. What the host itself does stands here: it indexes and loads every function, finds the one for a path and
method, and turns the HTTP request into a message (docs of both: `dev.host`).

`python -m dev.bench.worker FOLDER METHOD URL` starts the app in that folder, sends it the request with the token in
BENCH_TOKEN, prints the answer's status and the CPU seconds of all that, and ends.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

from multidict import CIMultiDict

from dev.host import Answer, read_route_prefix
from dev.routes import Route, compile_route, decode_path

LIBRARY = "azure_functions_runtime"


def available() -> bool:
    """Return whether this Python has the worker's library."""
    return importlib.util.find_spec(LIBRARY) is not None


class WorkerError(Exception):
    """The worker reported a failure; the text is the exception that it tells."""


class Message(SimpleNamespace):
    """A message of the host's protocol: its fields, and for a oneof the one that is set."""

    def WhichOneof(self, group: str) -> str | None:
        return next((name for name, value in vars(self).items() if value is not None), None)


def _kind(name: str, **constants: int) -> type[Message]:
    return type(name, (Message,), constants)


class Protocol:
    """The message types that the library makes, by the names of the host's protocol."""

    BindingInfo = type("BindingInfo", (Message,), {"in": 0, "out": 1, "inout": 2, "undefined": 0})
    StatusResult = _kind("StatusResult", Failure=0, Success=1, Cancelled=2)
    FunctionLoadResponse = _kind("FunctionLoadResponse")
    FunctionMetadataResponse = _kind("FunctionMetadataResponse")
    InvocationResponse = _kind("InvocationResponse")
    NullableBool = _kind("NullableBool")
    NullableDouble = _kind("NullableDouble")
    NullableString = _kind("NullableString")
    ParameterBinding = _kind("ParameterBinding")
    RpcException = _kind("RpcException")
    RpcFunctionMetadata = _kind("RpcFunctionMetadata")
    RpcHttp = _kind("RpcHttp")
    RpcHttpCookie = type(
        "RpcHttpCookie",
        (Message,),
        {"SameSite": type("SameSite", (), {"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})},
    )
    TypedData = _kind("TypedData")
    WorkerInitResponse = _kind("WorkerInitResponse")
    WorkerMetadata = _kind("WorkerMetadata")


@dataclass(frozen=True, slots=True)
class _HttpFunction:
    id: str
    name: str
    argument: str
    route: Route
    methods: frozenset[str]


class Worker:
    """One worker with one app. It takes requests as `dev.host.Host` does, so the two can be compared."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """The functions that were indexed."""
        self._library: Any = importlib.import_module(LIBRARY)
        self._http: list[_HttpFunction] = []
        self._timers: dict[str, tuple[str, str]] = {}

    async def start(self, folder: Path) -> None:
        """Index and load the functions of the app in `folder`, which must be importable. Raises WorkerError."""
        self._library.start_threadpool_executor()
        begun = Message(capabilities={}, function_app_directory=str(folder))
        await self._call("worker_init_request", worker_init_request=begun)
        indexed = await self._call("functions_metadata_request", functions_metadata_request=Message())
        prefix = read_route_prefix(folder / "host.json")
        for metadata in indexed.function_metadata_results:
            load = Message(function_id=metadata.function_id, metadata=metadata)
            await self._call("function_load_request", function_load_request=load)
            self._add(metadata, prefix)
        self._http.sort(key=lambda function: function.route.rank)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Return the answer to a request whose URL is absolute; 404 without a body where no function takes it."""
        path, _, query = url.partition("://")[2].partition("/")[2].partition("?")
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        fields.setdefault("host", url.partition("://")[2].partition("/")[0])
        if body and "transfer-encoding" not in fields:
            fields.setdefault("content-length", str(len(body)))
        if int(fields.get("content-length", 0)) == 0:
            body = b""  # the host hands over no body without a length
        for function in self._http:
            route_params = function.route.match(decode_path(f"/{path}"))
            if route_params is None or (function.methods and method not in function.methods):
                continue
            http = Message(
                method=method,
                url=url,
                headers=_strings(fields),
                params=_strings(route_params),
                query=_strings(_query(query)),
                body=Message(bytes=body) if body else Message(bytes=None),
            )
            return _answer(await self._invoke(function.id, function.argument, Message(http=http)))
        return Answer(404)

    async def run_timer(self, name: str) -> None:
        """Run a timer function now. KeyError where there is none; WorkerError with what it raised."""
        function_id, argument = self._timers[name.lower()]
        tick = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        await self._invoke(function_id, argument, Message(json=json.dumps(tick)))

    def stop(self) -> None:
        self._library.stop_threadpool_executor()

    def _add(self, metadata: Any, prefix: str) -> None:
        self.names.append(metadata.name)
        for text in metadata.raw_bindings:
            binding = json.loads(text)
            if binding["type"] == "httpTrigger":
                route = compile_route(f"{prefix}/{binding.get('route', metadata.name)}")
                methods = frozenset(method.upper() for method in binding.get("methods", ()))
                self._http.append(_HttpFunction(metadata.function_id, metadata.name, binding["name"], route, methods))
            elif binding["type"] == "timerTrigger":
                self._timers[metadata.name.lower()] = (metadata.function_id, binding["name"])

    async def _invoke(self, function_id: str, argument: str, data: Message) -> Any:
        response = await self._call(
            "invocation_request",
            invocation_request=Message(
                invocation_id=str(uuid.uuid4()),
                function_id=function_id,
                input_data=[_Parameter(name=argument, data=data)],
                trigger_metadata={},
                trace_context=Message(trace_parent="", trace_state="", attributes={}),
                retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
            ),
        )
        return response.return_value

    async def _call(self, handler: str, **request: Message) -> Any:
        message = Message(request=Message(**request), properties={"host": "127.0.0.1", "protos": Protocol})
        response = await getattr(self._library, handler)(message)
        if response.result.status != Protocol.StatusResult.Success:  # type: ignore[attr-defined]
            raise WorkerError(f"{handler}: {response.result.exception.message}")
        return response


class _Parameter(Message):
    """A parameter has a name beside its oneof."""

    def WhichOneof(self, group: str) -> str | None:
        return "data"


def _strings(values: Mapping[str, str]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def _query(query: str) -> dict[str, str]:
    """As the host hands it over: repeated keys joined, keys without a value dropped."""
    values: dict[str, list[str]] = {}
    for key, value in parse_qsl(query, keep_blank_values=False):
        values.setdefault(key, []).append(value)
    return {key: ",".join(texts) for key, texts in values.items()}


def _answer(returned: Any) -> Answer:
    http = returned.http
    headers = CIMultiDict(http.headers)
    for cookie in http.cookies or ():
        headers.add("Set-Cookie", _write_cookie(cookie))
    return Answer(int(http.status_code), headers, http.body.bytes or b"")


def _write_cookie(cookie: Any) -> str:
    """Return the header that the host makes of a cookie, which the worker's library has taken apart."""
    parts = [f"{cookie.name}={cookie.value}"]
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    parts += [f"{name}={value.value}" for name in ("domain", "path") if (value := getattr(cookie, name)) is not None]
    parts += ["secure"] if cookie.secure is not None and cookie.secure.value else []
    parts += [
        f"samesite={name}" for number, name in ((1, "lax"), (2, "strict"), (3, "none")) if cookie.same_site == number
    ]
    parts += ["httponly"] if cookie.http_only is not None and cookie.http_only.value else []
    return "; ".join(parts)


async def _main(folder: Path, method: str, url: str) -> None:
    worker = Worker()
    await worker.start(folder)
    answer = await worker.request(method, url, {"authorization": f"Bearer {os.environ['BENCH_TOKEN']}"})
    print(json.dumps({"status": answer.status, "cpu": time.process_time()}), flush=True)
    os._exit(0)  # there is nothing to close, and waiting for threads would count


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    asyncio.run(_main(Path(sys.argv[1]), *sys.argv[2:]))
