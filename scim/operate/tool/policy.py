"""`python -m scim policy`: what an identity provider's writes mean for the product, tenant by tenant."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import click

from scim.errors import ScimError
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool.command import Noun, Verb, argument, give_place, option
from scim.operate.tool.shown import done
from scim.operate.tool.tenants.group import take_tenant
from scim.policy.document import build_schema
from scim.policy.kept import read_policy
from scim.service.replaying import replay_policy
from scim.service.steering import PolicyError, Stale, release, set_policy, show_policy, try_policy

_FOLLOWS = "The app follows it within a minute."


@click.group(
    cls=Noun,
    epilog="""
\b
Examples:
  show contoso                        the policy, seats taken and waiting, what is held back
  set contoso policy.json             in place of the one that is there
  test contoso user.json              what would become of this new user
  test contoso user.json --policy policy.json
  replay contoso --policy policy.json what it would have made of the last 30 days
  release contoso                     let what is held back go into the change feed
  schema                              the JSON Schema of a policy
""",
)
def policy() -> None:
    """Defaults, licences and roles by group, seats, holds, protected accounts and domains (docs/policies.md).

    An identity provider is never refused for it, but for what is protected: your application is told what counts.
    """


@policy.command("show", cls=Verb, short_help="A tenant's policy, and what it came to.")
@give_place
@take_tenant
async def show(place: Place, tenant: str) -> None:
    """Show the policy, the seats that are taken and who waits, what is held back, and agents that nobody owns."""
    async with place.opened() as opened:
        kept, state = await show_policy(opened.require_table(), tenant)
    data = {"tenant": tenant, "policy": kept.data, "changed": kept.changed or None, "by": kept.by or None, **state}
    lines = [f"{tenant} has no policy." if not kept.version else f"Set on {kept.changed} by {kept.by}:"]
    lines += json.dumps(kept.data, indent=2).splitlines() if kept.version else []
    for one in state["seats"]:
        name = one.get("license", "all users")
        lines.append(f"Seats of {name}: {one['used']} of {one['limit']} taken, {one['waiting']} wait.")
    if hold := state["hold"]:
        since, until, number = hold["since"], hold["until"], hold["held"]
        lines.append(f"Held back since {since}, until {until}: {number} changes. release {tenant} lets them go.")
    for one in state["ownerless"]:
        standing = {"held": "; it is held", "waiting": f"; it is held from {one.get('until')}"}.get(one["standing"], "")
        lines.append(f"Nobody active owns {one['agent']}{standing}.")
    done(place, data, *lines)


@policy.command("set", cls=Verb, short_help="Set a tenant's policy, in place of the one that is there.")
@give_place
@take_tenant
@argument("file", "a JSON file; - for standard input", type=click.Path(allow_dash=True, dir_okay=False))
async def set_(place: Place, tenant: str, file: str) -> None:
    """Set the policy. What follows from it for users who are there (seats, grants of groups) is decided at once;
    requests follow it within a minute. If somebody else sets it at the same moment, nothing is done, and told.
    """
    data = _read(file)
    async with place.opened() as opened:
        table = opened.require_table()
        before = await read_policy(table, tenant)
        try:
            await set_policy(table, place.registry(), tenant, data, f"{getpass.getuser()} by hand", before.version)
        except PolicyError as error:
            raise CommandError(f"Nothing was set: {error}") from None
        except Stale:
            raise CommandError("Nothing was set: somebody else set it at the same moment. Look with show.") from None
        _, state = await show_policy(table, tenant)
    done(place, {"tenant": tenant, **state}, f"The policy of {tenant} is set. {_FOLLOWS}")


@policy.command("test", cls=Verb, short_help="What a policy would make of a new user, without writing anything.")
@give_place
@take_tenant
@argument("file", "a JSON file with the user, as a POST has it; - for standard input")
@option("--policy", "other", metavar="FILE", help="try this policy instead of the one in force")
async def test(place: Place, tenant: str, file: str, other: str | None) -> None:
    """Show the document with its defaults, and the events that your application would be told."""
    user = _read(file)
    async with place.opened() as opened:
        table = opened.require_table()
        data = _read(other) if other else (await read_policy(table, tenant)).data
        try:
            if not isinstance(user, dict):
                raise CommandError("The user is no JSON object.")
            made = await try_policy(table, place.registry(), tenant, data, user)
        except PolicyError as error:
            raise CommandError(str(error)) from None
        except ScimError as error:
            raise CommandError(f"The user would be refused: {error.detail}") from None
    done(place, made, *json.dumps(made, indent=2, ensure_ascii=False).splitlines())


@policy.command("replay", cls=Verb, short_help="What a policy would have made of the last 30 days, writing nothing.")
@give_place
@take_tenant
@option("--policy", "other", metavar="FILE", help="try this policy instead of the one in force")
async def replay(place: Place, tenant: str, other: str | None) -> None:
    """Run the changes that the change feed has through a policy, and count what it would have told: seats given and
    waited for, mass changes, what would have been held, users of other domains. It begins with nobody.
    """
    async with place.opened() as opened:
        table = opened.require_table()
        data = _read(other) if other else (await read_policy(table, tenant)).data
        try:
            made = await replay_policy(table, place.registry(), tenant, data)
        except PolicyError as error:
            raise CommandError(str(error)) from None
    done(place, made, *json.dumps(made, indent=2).splitlines())


@policy.command("release", cls=Verb, short_help="Let what is held back go into the change feed.")
@give_place
@take_tenant
async def release_(place: Place, tenant: str) -> int:
    """End a hold: what was held back goes into the change feed, in its order.

    Exit code 0 if something was held; 1 if not.
    """
    async with place.opened() as opened:
        number = await release(opened.require_table(), place.registry(), tenant)
    text = f"Nothing of {tenant} is held back." if number is None else f"{number} changes of {tenant} were let go."
    done(place, {"tenant": tenant, "released": number or 0}, text)
    return 0 if number is not None else 1


@policy.command("schema", cls=Verb, short_help="The JSON Schema of a policy.")
@give_place
async def schema(place: Place) -> None:
    """Print the JSON Schema, for an editor or a form."""
    done(place, build_schema(), *json.dumps(build_schema(), indent=2).splitlines())


def _read(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CommandError(f"{file} is not JSON: {error}.") from None
