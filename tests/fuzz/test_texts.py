"""Any text in any place of a request where a text can be: keys of rows are made of some, headers and errors of others.

The answer is never a 5xx, what is written can be read back as it was, and is found by what was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.app import Application
from scim.errors import ERROR_URN
from tests import core  # noqa: F401  its profile of hypothesis
from tests.fuzz.shim import Direct, connected
from tests.store.memory import MemoryTable
from tests.support import ENTERPRISE, Client, Response

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "30"))
TENANT = "texts"

_SHORT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
_ODD = st.sampled_from(
    [
        *("\uffff", "\U0010ffff", "\ud7ff", "\ue000", "\x7f", "\x85", "\u2028", "/\\#?%", "%00", "..", ".", " ", "\t"),
        *("ß", "ﬁ", "İ", "ǰ", "\u0345", "e\u0301", "Ω", "true", "null", "u-", "g-", "~", "'", '"', "${x}", "{0}", "\n"),
    ]
)
TEXTS = st.one_of(
    _SHORT,
    _ODD,
    st.tuples(_ODD, _SHORT).map("".join),
    st.tuples(_SHORT | _ODD, st.sampled_from([1, 40, 121, 300, 512])).map(lambda pair: (pair[0] * pair[1])[:512]),
)
tried = settings(max_examples=EXAMPLES, deadline=None, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None)


@pytest.fixture(scope="module")
def client() -> Iterator[tuple[Direct, Client, MemoryTable]]:
    configured, token = connected(TENANT)
    table = MemoryTable()
    direct = Direct(Application(configured, table=table))
    yield direct, Client(direct, TENANT, token), table  # type: ignore[arg-type]
    direct.close()


Service = tuple[Direct, Client, MemoryTable]


def send(service: Service, method: str, path: str, body: object = None, **headers: str) -> Response:
    answer = service[0].run(service[1].request(method, path, body, headers))
    assert answer.status < 500 or path.lower().startswith("/me"), (method, path, body, answer.body)  # 501 is its answer
    if answer.status >= 400:
        assert answer.json["schemas"] == [ERROR_URN]
        assert answer.json["status"] == str(answer.status)
    return answer


def filter_of(attribute: str, op: str, text: str) -> str:
    return f"filter={quote(f'{attribute} {op} {json.dumps(text, ensure_ascii=False)}', safe='')}"


@tried
@given(text=TEXTS.filter(str.strip))  # a userName of white space alone is refused
def test_a_text_is_kept_and_found(client: Service, text: str) -> None:
    client[2].clear(TENANT)
    extension = {"department": text, "manager": {"value": text}}
    sent = {"userName": text, "externalId": text, "displayName": text, "title": text, "emails": [{"value": text}]}
    made = send(client, "POST", "/Users", {**sent, ENTERPRISE: extension})
    assert made.status == 201, made.body
    read = send(client, "GET", f"/Users/{made.json['id']}").json
    assert {name: read[name] for name in sent} == sent
    first, last = (text[:1], text[-1:]) if text.isascii() else (text, text)  # others may compose with their neighbours
    for attribute in ("userName", "externalId", "displayName", "title", "emails.value", "department", "manager"):
        for op, part in (("eq", text), ("sw", first), ("sw", text), ("co", last), ("ew", text)):
            found = send(client, "GET", f"/Users?{filter_of(attribute, op, part)}").json
            assert found["totalResults"] == 1, (attribute, op, part)
    other = send(client, "POST", "/Users", {"userName": text.swapcase().swapcase()})  # "ß" becomes "ss"
    assert other.status in (201, 409)
    if other.status == 201:
        assert send(client, "DELETE", f"/Users/{other.json['id']}").status == 204
    assert send(client, "POST", "/Users", {"userName": text}).status == 409
    assert send(client, "GET", "/Users?sortBy=userName").json["Resources"]
    assert send(client, "DELETE", f"/Users/{made.json['id']}").status == 204
    assert client[2].rows_but_outbox(TENANT) == [] or all(
        row.key[:1] in "pxiwavh" for row in client[2].rows_but_outbox(TENANT)
    )


@tried
@given(text=TEXTS, display=TEXTS)
def test_a_text_is_a_member(client: Service, text: str, display: str) -> None:
    client[2].clear(TENANT)
    group = send(client, "POST", "/Groups", {"displayName": "g", "members": [{"value": text, "display": display}]}).json
    path = f"/Groups/{group['id']}"
    (member,) = send(client, "GET", path).json["members"]
    assert (member["value"], member["display"]) == (text, display)
    for attribute in ("members", "members.value", "members.display"):
        wanted = display if attribute == "members.display" else text
        assert send(client, "GET", f"/Groups?{filter_of(attribute, 'eq', wanted)}").json["totalResults"] == 1
    escaped = json.dumps(text)
    removal = {"op": "remove", "path": f"members[value eq {escaped}]"}
    assert send(client, "PATCH", path, {"Operations": [removal]}).status == (
        204 if len(removal["path"]) <= 4096 else 400
    )
    assert ("members" in send(client, "GET", path).json) == (len(removal["path"]) > 4096)
    again = {"op": "Add", "path": "members", "value": [{"value": text}]}
    assert send(client, "PATCH", path, {"Operations": [again, {**again, "op": "Remove"}]}).status == 204
    assert "members" not in send(client, "GET", path).json


@tried
@given(text=TEXTS, prefix=st.sampled_from(["", "u-", "g-", "d-"]))
def test_a_text_is_no_id(client: Service, text: str, prefix: str) -> None:
    client[2].clear(TENANT)
    id = quote(prefix + text, safe="")
    operation = {"op": "add", "path": "members", "value": [{"value": text}]}
    for endpoint in ("Users", "Groups", "Devices", "Schemas", "ResourceTypes"):
        for method, body in (("GET", None), ("PUT", {"userName": "a", "displayName": "a", "serial": "a"})):
            assert send(client, method, f"/{endpoint}/{id}", body).status in (404, 405) or text in (".", "/", "..")
        for body in ({"Operations": [operation]}, {"Operations": [{"op": "add", "path": text, "value": text}]}):
            send(client, "PATCH", f"/{endpoint}/{id}", body)
        send(client, "DELETE", f"/{endpoint}/{id}")
    bulk = [
        {"method": "DELETE", "path": f"/{text}/{prefix}{text}"},
        {"method": "POST", "path": "/Users", "bulkId": text},
    ]
    bulk[1]["data"] = {"userName": f"bulkId:{text}", "title": text}  # type: ignore[assignment]
    send(client, "POST", "/Bulk", {"Operations": bulk})


@tried
@given(text=TEXTS)
def test_a_text_is_a_parameter(client: Service, text: str) -> None:
    client[2].clear(TENANT)
    for name in ("ada", "bob"):
        send(client, "POST", "/Users", {"userName": name, "title": text, text: text, "urn:a:2.0:User": {text: text}})
    given = quote(text, safe="")
    for name in ("filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "attributes", "excludedAttributes"):
        for path in ("", "Users", "Groups"):
            send(client, "GET", f"/{path}?{name}={given}")
        send(client, "POST", "/Users/.search", {name: text})
    send(client, "GET", f"/{given}?{given}={given}")
    for header in ("If-Match", "If-None-Match", "Content-Type", "Authorization", "Accept"):
        send(client, "PUT", "/Users/u-x", {"userName": text}, **{header: text})
