"""`python -m scim connections`: the verbs about what access tokens are signed with and credentials are sealed with."""

from __future__ import annotations

import json
from collections.abc import Sequence

from scim.operate.connections.sealing import Need
from scim.operate.place import Place
from scim.operate.tool import shown
from scim.operate.tool.command import option
from scim.operate.tool.connections import make_verb, opened


@make_verb("rotate-signing-keys", "Sign access tokens with a new key; those that are out go on, or end with --now.")
@option("--now", "at_once", is_flag=True, help="the old keys end at once, with every token that they signed")
async def rotate_signing_keys(place: Place, url: str | None, at_once: bool) -> None:
    async with opened(place) as commands:
        await commands.rotate_signing_keys(at_once=at_once)
        after = (
            "Every access token that is out ends; clients get a new one from the token endpoint by themselves."
            if at_once
            else "Access tokens are signed with a new key in five minutes; those that are out go on until they expire."
            " Then the old key ends by itself."
        )
        shown.show(json.dumps({"rotated": True}) if place.json else f"{after} {commands.takes_effect}")


@make_verb("seals", "The roots that credentials are sealed with, and which connections still need each.")
async def seals(place: Place, url: str | None) -> None:
    async with opened(place) as commands:
        _print(place, await commands.seals())


@make_verb(
    "rotate-seals", "Seal new credentials with a new root; an old one goes when nothing that it sealed is in force."
)
async def rotate_seals(place: Place, url: str | None) -> None:
    async with opened(place) as commands:
        ended = await commands.rotate_seals()
        needs = await commands.seals()
        if place.json:
            data = {"seals": [_build_data(need) for need in needs], "ended": [need.seal.id for need in ended]}
            shown.show(json.dumps(data))
            return
        _print(place, needs)
        for need in ended:
            shown.show(f"{need.seal.id} was needed by nobody, and is gone.")
        shown.show(f"New credentials are sealed with the new root in five minutes. {commands.takes_effect}")


def _print(place: Place, needs: Sequence[Need]) -> None:
    if place.json:
        shown.show_data([_build_data(need) for need in needs])
        return
    if not needs:
        shown.show("There are no seals: the first connection that is made makes one.")
    for need in needs:
        users = ", ".join(need.connections) or "nobody"
        state = "in use for new credentials, needed by" if need.current else "needed by"
        shown.show(f"{need.seal.id}  made {need.seal.created:%Y-%m-%d %H:%M}Z  {state} {users}")


def _build_data(need: Need) -> dict[str, object]:
    return {
        "id": need.seal.id,
        "created": need.seal.created.isoformat(timespec="seconds"),
        "current": need.current,
        "connections": need.connections,
    }


COMMANDS = (rotate_signing_keys, seals, rotate_seals)
