"""Plays recorded conversations: files that say what an identity provider sends and what it must get back.

`path` follows the tenant URL as it stands, query included. Of `body`, an object names a subset of the members that
came, an array is complete (objects in any order), a scalar has the same JSON type; `absent` names what must be missing.
`save` keeps values for `{name}` in later steps. Whatever a file says, every body must be application/scim+json.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.support import Client, Response


class Request(BaseModel, extra="forbid", strict=True):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    headers: dict[str, str] = {}
    body: Any = None


class Expected(BaseModel, extra="forbid", strict=True):
    status: int
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    absent: list[str] = []


class Step(BaseModel, extra="forbid", strict=True):
    note: str = ""
    request: Request
    response: Expected
    save: dict[str, str] = {}


class Conversation(BaseModel, extra="forbid", strict=True):
    title: str
    source: str
    steps: list[Step]


def steps(file: Path, saved: dict[str, str]) -> Iterator[Step]:
    """The steps one by one, every `{name}` in their strings replaced by what is saved under it by then."""
    for step in Conversation.model_validate_json(file.read_bytes()).steps:
        text = re.sub(r"\{(\w+)\}", lambda found: json.dumps(saved[found[1]])[1:-1], step.model_dump_json())
        yield Step.model_validate_json(text)


def values(body: Any, name: str) -> list[Any]:
    """All that stands at a name: dotted, through arrays, after the URN of an extension; nothing where it is absent."""
    if isinstance(body, list):
        return [value for element in body for value in values(element, name)]
    if not isinstance(body, dict) or name in body:
        return [body[name]] if isinstance(body, dict) else []
    parent, _, child = name.rpartition(":") if name.startswith("urn:") else name.partition(".")
    return values(body.get(parent), child) if child else []


def mismatch(expected: Any, came: Any, at: str) -> str | None:
    """The first place where what came is not what was expected, and how; None if it all matches."""
    if isinstance(expected, dict) and isinstance(came, dict):
        return next(filter(None, (mismatch(expected[key], came.get(key), f"{at}.{key}") for key in expected)), None)
    objects = isinstance(expected, list) and isinstance(came, list) and all(isinstance(item, dict) for item in expected)
    same = pairs(expected, came) if objects else json.dumps(expected) == json.dumps(came)
    return None if same else f"{at}: expected {json.dumps(expected)}, came {json.dumps(came)}"


def pairs(expected: list[Any], came: list[Any]) -> bool:
    """Whether every element has a partner of its own that matches, with none left over."""
    partners = [index for index, item in enumerate(came) if expected and not mismatch(expected[0], item, "")]
    return any(pairs(expected[1:], came[:index] + came[index + 1 :]) for index in partners) or not (expected or came)


def problems(step: Step, came: Response) -> Iterator[str | None]:
    """What is wrong with the answer: None for every check that it passes."""
    expected = step.response
    yield mismatch(expected.status, came.status, "status")
    yield from (mismatch(value, came.headers.get(name.lower()), name) for name, value in expected.headers.items())
    yield mismatch("application/scim+json", came.headers.get("content-type"), "Content-Type") if came.body else None
    yield "body: an error without detail" if came.status >= 400 and not values(came.json, "detail") else None
    yield mismatch(expected.body, came.json or {}, "body")
    yield from (f"body: {name} should be absent" for name in expected.absent if values(came.json, name))
    yield from (f"body: no single {name} to save" for name in step.save.values() if len(values(came.json, name)) != 1)


async def play(client: Client, file: Path) -> None:
    """Send a file's requests one after the other; fails at the first answer that is not the recorded one."""
    saved: dict[str, str] = {}
    for number, step in enumerate(steps(file, saved), 1):
        sent = step.request
        came = await client.request(sent.method, sent.path, sent.body, sent.headers)
        for problem in filter(None, problems(step, came)):
            where = f"{file.name}, step {number}, {sent.method} {sent.path}"
            pytest.fail(f"{where}\n{problem}\nthe answer: {came.status} {came.body.decode()}", pytrace=False)
        saved |= {name: values(came.json, source)[0] for name, source in step.save.items()}


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("*/*.json")), ids=lambda file: file.stem)
async def test_conversation(client: Client, file: Path) -> None:
    await play(client, file)
