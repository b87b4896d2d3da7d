"""What clients want done: a request and what it makes of a resource. Each may be sent again until it is acknowledged,
so each makes the same of a state whether it was done once or twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dev.chaos.model import MEMBERS, Effect, Inapplicable, State
from dev.kit import payloads
from dev.kit.payloads import GROUP, USER, patch

_ONE_TRANSACTION = 49
"""Members that one transaction changes at the most (scim/store/members.py)."""


@dataclass(frozen=True, slots=True)
class Intent:
    """`name` is for reports; `method` and `body` make the request; `effect` is what it does to a state."""

    name: str
    method: str
    body: Any
    effect: Effect

    @property
    def long(self) -> bool:
        """Whether it takes several transactions."""
        body = self.body or {}
        values = [body, *(operation for operation in body.get("Operations", []) if operation.get("path") == MEMBERS)]
        return any(len(one.get(MEMBERS, one.get("value", []))) > _ONE_TRANSACTION for one in values)


def create(path: str, state: dict[str, Any]) -> Intent:
    """Return a new resource in that state."""

    def effect(before: State) -> State:
        if before is not None:
            raise Inapplicable
        return state

    return Intent("POST", "POST", document(path, state), effect)


def replace(path: str, state: dict[str, Any]) -> Intent:
    """Return the whole resource anew."""
    return Intent("PUT", "PUT", document(path, state), _on_present(lambda _: state))


def delete() -> Intent:
    return Intent("DELETE", "DELETE", None, _on_present(lambda _: None))


def assign(values: dict[str, Any], *, pathless: bool) -> Intent:
    """New values of plain attributes, in one of Entra's two forms."""
    operations = (
        [{"op": "Replace", "value": values}]
        if pathless
        else [payloads.replace(name, value) for name, value in values.items()]
    )
    return Intent(f"PATCH {', '.join(values)}", "PATCH", patch(*operations), _on_present(lambda s: {**s, **values}))


def add_mark(mark: str) -> Intent:
    """Add one more value of a list: there once, however often it is sent."""
    operation = {"op": "Add", "path": "phoneNumbers", "value": payloads.phones([mark])}
    return Intent(f"PATCH +{mark}", "PATCH", patch(operation), _on_present(lambda s: _with(s, "marks", [mark])))


def remove_mark(mark: str) -> Intent:
    operation = {"op": "Remove", "path": f'phoneNumbers[value eq "{mark}"]'}
    return Intent(f"PATCH -{mark}", "PATCH", patch(operation), _on_present(lambda s: _without(s, "marks", [mark])))


def change_members(add: list[str], remove: list[str], values: dict[str, Any] | None = None) -> Intent:
    """Have members come and go, with new values of the group's own attributes in the same request."""
    operations: list[dict[str, Any]] = [payloads.replace(name, value) for name, value in (values or {}).items()]
    if add:
        operations.append(payloads.add_members(*add))
    if len(remove) == 1:
        operations.append({"op": "Remove", "path": f'{MEMBERS}[value eq "{remove[0]}"]'})
    elif remove:
        operations.append(payloads.remove_members(*remove))

    def change(state: dict[str, Any]) -> State:
        return {**_without(_with(state, MEMBERS, add), MEMBERS, remove), **(values or {})}

    name = f"PATCH +{len(add)} -{len(remove)} members{' and ' + ', '.join(values) if values else ''}"
    return Intent(name, "PATCH", patch(*operations), _on_present(change))


def document(path: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the body that makes a resource of that state."""
    plain = {name: value for name, value in state.items() if name not in ("marks", MEMBERS) and value is not None}
    if path == "/Users":
        return {"schemas": [USER], **plain, "phoneNumbers": payloads.phones(state["marks"])}
    return {"schemas": [GROUP], **plain, MEMBERS: payloads.values(state[MEMBERS])}


def _on_present(change: Callable[[dict[str, Any]], State]) -> Effect:
    def effect(before: State) -> State:
        if before is None:
            raise Inapplicable
        return change(before)

    return effect


def _with(state: dict[str, Any], name: str, values: Iterable[str]) -> dict[str, Any]:
    return {**state, name: sorted({*state[name], *values})}


def _without(state: dict[str, Any], name: str, values: Iterable[str]) -> dict[str, Any]:
    gone = set(values)
    return {**state, name: [one for one in state[name] if one not in gone]}
