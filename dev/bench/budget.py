"""Part `budget`: what it costs ordinary requests that their work is counted.

The same requests of one app on a table in memory, by turns as they are and with nothing in place of what counts and
gives way (`scim.budget`), so that only this differs. CPU alone is compared.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dev.bench.app import direct
from dev.bench.figures import Figure, Result, compare, most
from dev.bench.growth import load_users, new_table
from dev.bench.measure import Ask, in_turns
from dev.bench.options import Options
from dev.kit import payloads
from dev.kit.client import Client
from scim import budget

_PART = "budget"
_TENANT = "tenant"
_USERS = 2_000
_ALLOWED = 1.03
_COUNTED = ("charge", "pause", "call", "in_turns", "grant")


async def run(options: Options) -> Result:
    """Measure each kind of request on both sides in turn."""
    turns, number = (1, 5) if options.tiny else (7, 90) if options.quick else (15, 300)
    table = new_table()
    load_users(table, _USERS)
    client = direct(table, _TENANT)
    figures: list[Figure] = []
    for at, (name, ask) in enumerate((await _requests(client)).items()):
        sides = {"counted": _with(_names(), ask), "not": _with(_names(without=True), ask)}
        size = max(number // 30, 2) if name.startswith(("list", "find")) else number
        bursts = await in_turns(sides, turns=turns, number=size, at_once=1, first=at * 100_000)
        ours, floor = ([took.cpu_each * 1e6 for took in bursts[side]] for side in sides)
        against = "the same uncounted"
        figures.append(compare(_PART, name, ours, floor, unit="µs CPU", against=against, target=most(_ALLOWED)))
    _put(_names())
    return Result(figures, f"{_USERS:,} users on a table in memory; {turns} turns of {number} requests")


async def _requests(client: Client) -> dict[str, Ask]:
    """Return what an identity provider sends, and a list."""
    made = await client.json("POST", "/Users", payloads.user(10_000_000), status=201)
    group = (await client.json("POST", "/Groups", {"displayName": "g"}, status=201))["id"]
    name = made["userName"].replace("@", "%40")
    match = f"/Users?filter=userName%20eq%20%22{name}%22"

    def patch(number: int) -> payloads.Body:
        changes = [payloads.replace("title", f"Director {number}"), payloads.replace("active", "True")]
        work = payloads.replace('emails[type eq "work"].value', f"adele{number}@contoso.example")
        return payloads.patch(*changes, work)

    def member(number: int) -> payloads.Body:
        return payloads.patch({"op": "Add", "path": "members", "value": [{"value": f"u-{number:024}"}]})

    return {
        "match a user": lambda _: client.ask("GET", match),
        "create a user": lambda n: client.ask("POST", "/Users", payloads.user(20_000_000 + _next(n)), status=201),
        "PATCH with 3 operations": lambda n: client.ask("PATCH", f"/Users/{made['id']}", patch(_next(n))),
        "add a member": lambda n: client.ask("PATCH", f"/Groups/{group}", member(_next(n)), status=204),
        "list 100 users": lambda _: client.ask("GET", "/Users?count=100&excludedAttributes=groups"),
        "find one of 2,000 by a scan": lambda _: client.ask("GET", "/Users?filter=title%20eq%20%22nobody%22"),
    }


_numbers = iter(range(10**9))


def _next(_: int) -> int:
    """Return a number that neither side has used: both have the same."""
    return next(_numbers)


def _with(names: dict[str, Any], ask: Ask) -> Ask:
    """Return the request with these functions in place; both sides put theirs, so that this costs both the same."""

    def asked(number: int) -> Awaitable[object]:
        _put(names)
        return ask(number)

    return asked


def _put(names: dict[str, Any]) -> None:
    for module, name in _places():
        setattr(module, name, names[name])


def _places() -> list[tuple[Any, str]]:
    """Return where the app has them, each by its own import."""
    if not _found:
        modules = [module for name, module in list(sys.modules.items()) if name.startswith("scim.")]
        _found.extend(
            (module, name)
            for module in modules
            for name in _COUNTED
            if getattr(module, name, None) is getattr(budget, name)
        )
    return _found


_found: list[tuple[Any, str]] = []
_REAL = {name: getattr(budget, name) for name in _COUNTED}


def _names(*, without: bool = False) -> dict[str, Any]:
    return dict(_NOTHING) if without else dict(_REAL)


def _charge(units: int, work: object) -> bool:
    return False


async def _pause() -> None:
    pass


async def _call(values: int, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    return function(*args, **named)


async def _in_turns(steps: Any) -> Any:
    return budget.at_once(steps)


@contextmanager
def _granted(given: budget.Budget) -> Iterator[budget.Budget]:
    yield given


_NOTHING: dict[str, Any] = {
    "charge": _charge,
    "pause": _pause,
    "call": _call,
    "in_turns": _in_turns,
    "grant": _granted,
}
