"""An operator's connection: what a document must say to be one, and what it may do then."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dev.credentials import new_key
from scim.errors import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, UNAVAILABLE, ErrorKind
from scim.security.access_tokens import Claims
from scim.security.connections import Connection, read_connection
from scim.security.operators import authenticate_operator, require_right
from scim.security.secrets import Fixed
from scim.security.trust import make_entra_federation
from tests.core import cases, refused
from tests.security.test_connections import NOW, security

KEY, GUID = new_key("billing"), "0a1b2c3d-1111-2222-3333-444455556666"
TRUST = make_entra_federation(GUID, GUID, GUID).model_dump(exclude_none=True)
EVERYTHING = {"tenants": "*", "rights": ["feed", "read", "manage"]}


def document(**members: Any) -> dict[str, Any]:
    """The document of an operator's connection; a member that is None is left out."""
    given = {"operator": EVERYTHING, "keys": [KEY], **members}
    return {name: value for name, value in given.items() if value is not None}


def connection(**members: Any) -> Connection:
    return read_connection("billing", document(**members))


GOOD: dict[str, dict[str, Any]] = {
    "all tenants": {},
    "a list": {"operator": {"tenants": ["contoso", "fabrikam"], "rights": ["read"]}},
    "client secret": {"kind": "oauth"},
    "federation": {"kind": "federation", "keys": None, "trust": TRUST},
}


@pytest.mark.parametrize("members", cases(GOOD))
def test_document_of_an_operators_connection(members: dict[str, Any]) -> None:
    made = connection(**members)
    assert (made.tenant, made.operator is not None) == (None, True)
    assert read_connection("billing", made.dump()) == made


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a tenant of its own too": ({"tenant": "contoso"}, "has no tenant of its own"),
    "neither": ({"operator": None}, "tenant: is needed"),
    "a flag": ({"operator": True, "tenant": "contoso"}, "operator: "),
    "an empty object": ({"operator": {}}, "operator: "),
    "no rights": ({"operator": {"tenants": "*"}}, "operator: "),
    "empty rights": ({"operator": {"tenants": "*", "rights": []}}, "operator: "),
    "unknown right": ({"operator": {"tenants": "*", "rights": ["write"]}}, "operator: "),
    "no tenants": ({"operator": {"rights": ["read"]}}, "operator: "),
    "empty list": ({"operator": {"tenants": [], "rights": ["read"]}}, "operator: "),
    "all and some": ({"operator": {"tenants": ["*", "contoso"], "rights": ["read"]}}, 'or "*" alone'),
    "a pattern": ({"operator": {"tenants": ["cont*"], "rights": ["read"]}}, "must be ids of tenants"),
    "the partition of the service": ({"operator": {"tenants": ["~"], "rights": ["read"]}}, "must be ids of tenants"),
    "too many": ({"operator": {"tenants": [f"t-{n}" for n in range(201)], "rights": ["read"]}}, "operator: "),
    "another member": ({"operator": {**EVERYTHING, "write": True}}, "operator: "),
    "a customer's access": ({"access": "read"}, "access, mode and types are a customer's"),
    "a customer's mode": ({"mode": "strict"}, "access, mode and types are a customer's"),
    "the old name of it": ({"kind": "operator", "operator": None, "tenant": "contoso"}, "kind: "),
    "tokens that any application has": (
        {"kind": "entra", "keys": None, "trust": {**TRUST, "app_id": GUID}},
        "kind entra is for a customer",
    ),
}


@pytest.mark.parametrize(("members", "said"), cases(WRONG))
def test_document_that_is_no_operators(members: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        connection(**members)


def test_which_tenants_are_reached() -> None:
    some = connection(operator={"tenants": ["fabrikam", "contoso", "contoso"], "rights": ["read"]}).operator
    every = connection().operator
    assert some is not None and every is not None
    assert some.tenants == ("contoso", "fabrikam") and not some.reaches_all
    assert [some.reaches(name) for name in ("contoso", "fabrikam", "fabrika", "*", "")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert every.reaches("contoso") and every.reaches_all


RIGHTS: dict[str, tuple[dict[str, Any], str, str | None, str | None]] = {
    "has all": (EVERYTHING, "manage", "contoso", None),
    "of one tenant": ({"tenants": ["contoso"], "rights": ["feed"]}, "feed", "contoso", None),
    "of no tenant in particular": ({"tenants": ["contoso"], "rights": ["feed"]}, "feed", None, None),
    "other right": ({"tenants": "*", "rights": ["feed"]}, "read", "contoso", "--rights feed,read"),
    "manage is more": ({"tenants": "*", "rights": ["read", "feed"]}, "manage", None, "--rights feed,manage,read"),
    "manage is not all": ({"tenants": "*", "rights": ["manage"]}, "feed", "contoso", "--rights feed,manage"),
    "other tenant": (
        {"tenants": ["contoso"], "rights": ["feed"]},
        "feed",
        "fabrikam",
        "does not reach tenant fabrikam",
    ),
}


@pytest.mark.parametrize(("operator", "right", "tenant", "refusal"), cases(RIGHTS))
def test_right(operator: dict[str, Any], right: Any, tenant: str | None, refusal: str | None) -> None:
    caller = connection(operator=operator)
    if refusal is None:
        return require_right(caller, right, tenant)
    with refused(FORBIDDEN, "Connection billing", refusal, "connections grant billing"):
        require_right(caller, right, tenant)


@pytest.mark.parametrize("name", ["", "a/b", "a\n", "~", "*", "\u0131", "a" * 64, "Contoso"])
def test_a_name_that_no_tenant_can_have(name: str) -> None:
    for operator in (EVERYTHING, {"tenants": ["contoso"], "rights": ["feed"]}):
        with refused(NOT_FOUND, "No tenant is called"):
            require_right(connection(operator=operator), "feed", name)


def test_a_customers_connection_has_no_rights_to_ask_for() -> None:
    with pytest.raises(ValueError, match="customer"):
        require_right(connection(operator=None, tenant="contoso"), "feed")


async def caller(token: str, **members: Any) -> Connection | None:
    known = Fixed({"billing": connection(**members)})
    return await authenticate_operator({"authorization": f"Bearer {token}"}, security(known))


async def test_caller_of_an_operators_door() -> None:
    made = await caller(KEY)
    assert made is not None and made.operator is not None
    assert made.account == "operator billing"


CUSTOMERS: dict[str, dict[str, Any]] = {
    "in force": {},
    "read-only": {"access": "read"},
    "paused": {"paused": NOW},
    "expired": {"expires": "2026-01-31T08:00:00Z"},
    "revoked": {"revoked": NOW},
}


@pytest.mark.parametrize("members", cases(CUSTOMERS))
async def test_no_customer_sees_the_door(members: dict[str, Any]) -> None:
    """Whatever state its connection is in, so that none of them tells."""
    assert await caller(KEY, operator=None, tenant="contoso", **members) is None


REFUSED: dict[str, tuple[str, dict[str, Any], ErrorKind, str]] = {
    "another key": (new_key("billing"), {}, UNAUTHORIZED, "not known here"),
    "expired": (KEY, {"expires": "2026-01-31T08:00:00Z"}, UNAUTHORIZED, "expired on 2026-01-31"),
    "revoked": (KEY, {"revoked": NOW}, UNAUTHORIZED, "was revoked"),
    "paused": (KEY, {"paused": NOW}, UNAVAILABLE, "was paused"),
}


@pytest.mark.parametrize(("token", "members", "kind", "said"), cases(REFUSED))
async def test_caller_that_is_refused(token: str, members: dict[str, Any], kind: ErrorKind, said: str) -> None:
    with refused(kind, said):
        await caller(token, **members)


def test_token_of_one_side_is_never_good_on_the_other() -> None:
    """Although the same trust makes the same credential of a connection that was made anew."""
    federated = {"kind": "federation", "keys": None, "trust": TRUST}
    operators = connection(**federated)
    customers = connection(**federated, operator=None, tenant="contoso")
    assert operators.trust is not None
    ends = datetime.now(UTC)
    for tenant, suits in ((None, [True, False]), ("contoso", [False, True])):
        claims = Claims("billing", tenant, operators.trust.id, ends)
        assert [claims.match(each) for each in (operators, customers)] == suits
