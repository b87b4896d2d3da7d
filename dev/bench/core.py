"""Part `core`: what a request costs without storage, beside scim2-models on the same payloads.

Both sides do the whole of a step: from the body's bytes to a validated resource, from a PATCH's bytes to the changed
resource, from a filter's text to the resources that match, from a resource to what the client asked for, and to bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dev.bench.figures import Figure, Result, compare, least
from dev.bench.measure import timed
from dev.bench.options import Options
from dev.bench.profiling import profile_call
from dev.kit import payloads
from scim.filter.evaluate import bind
from scim.filter.parse import parse_filter
from scim.http import Request, Response
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from scim.schema.loading import load
from scim.schema.projection import Projection
from scim.schema.validation import Document, make_canonical

_PART = "core"
_FILTER = 'active eq true and (emails[type eq "work"].value ew "7@contoso.example" or title co "Director")'
_WANTED = "userName,name.familyName,emails"
_RESOURCES = 100
_DEPTH = 32

Sides = tuple[Callable[[], object], Callable[[], object]]


async def run(options: Options) -> Result:
    """Return every step on both sides in turn."""
    turns = 1 if options.tiny else 5 if options.quick else 15
    figures: list[Figure] = []
    profiles: list[tuple[str, str]] = []
    for name, (ours, theirs) in _steps().items():
        ours(), theirs()  # both compile what they need on first use
        took = [(timed(ours), timed(theirs)) for _ in range(turns)]
        rates = [1 / mine for mine, _ in took], [1 / other for _, other in took]
        figure = compare(_PART, name, *rates, unit="/s", against="scim2-models", target=least(5))
        figures.append(figure)
        if options.profiles and figure.met is False:
            profiles.append((f"{name}, ours", profile_call(ours, 300)))
    return Result(
        figures, f"one user of {len(payloads.encoded(payloads.user(1))):,} bytes; {turns} turns", (), tuple(profiles)
    )


def _steps() -> dict[str, Sides]:
    from scim2_models import Context, EnterpriseUser, PatchOp, ResponseParameters, ScimFilter, User

    model = User[EnterpriseUser]
    resource_type = load().resource_types[0]
    body, changes = payloads.encoded(payloads.user(7)), payloads.encoded(_changes())
    document = make_canonical(payloads.user(7), resource_type)
    resource = _whole(document, 7)
    many = [_whole(make_canonical(payloads.user(n), resource_type), n) for n in range(_RESOURCES)]
    theirs = model.model_validate(resource)
    theirs_many = [model.model_validate(one) for one in many]

    def our_patch() -> Document:
        listed = parse_operations(_json(changes), resource_type, 1000)
        return apply(document, listed, resource_type)

    def their_patch() -> object:
        patch = PatchOp[model].model_validate_json(changes, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        return patch.patch(theirs)

    def our_filter() -> list[Document]:
        matches = bind(parse_filter(_FILTER), resource_type)
        return [one for one in many if matches(one)]

    def their_filter() -> list[Any]:
        wanted = ScimFilter[model](_FILTER)
        return [one for one in theirs_many if wanted.match(one)]

    def their_projection() -> object:
        wanted = ResponseParameters[model].model_validate({"attributes": _WANTED.split(",")})
        return theirs.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=wanted)

    if len(our_filter()) != len(their_filter()) or not our_filter():
        raise AssertionError("the two sides of the filter do not find the same")
    return {
        "parse and validate a POST": (
            lambda: make_canonical(_json(body), resource_type),
            lambda: model.model_validate_json(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST),
        ),
        "PATCH with 5 operations": (our_patch, their_patch),
        f"filter {_RESOURCES} users": (our_filter, their_filter),
        "project 3 attributes": (
            lambda: Projection(resource_type, {"attributes": _WANTED}).apply(resource),
            their_projection,
        ),
        "serialise": (
            lambda: Response(200, Projection(resource_type, {}).apply(resource)).encoded(),
            lambda: theirs.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE).encode(),
        ),
    }


def _json(body: bytes) -> object:
    return Request("POST", "https://scim.example/scim/Users", {}, body).json(2**20, _DEPTH)


def _changes() -> payloads.Body:
    return payloads.patch(
        payloads.replace("title", "Director"),
        payloads.replace("name.familyName", "Vance"),
        payloads.replace('emails[type eq "work"].value', "adele@contoso.example"),
        payloads.replace('addresses[type eq "work"].locality', "Redmond"),
        payloads.replace(f"{payloads.ENTERPRISE}:department", "Sales"),
    )


def _whole(document: Document, number: int) -> Document:
    """Return a document as a response has it."""
    meta = {
        "resourceType": "User",
        "created": "2026-01-01T00:00:00Z",
        "lastModified": "2026-01-01T00:00:00Z",
        "location": f"https://scim.example/scim/Users/{payloads.stranger(number)}",
        "version": 'W/"1"',
    }
    schemas = [payloads.USER, payloads.ENTERPRISE]
    resource: Document = json.loads(
        json.dumps({"schemas": schemas, "id": payloads.stranger(number), **document, "meta": meta})
    )
    return resource
