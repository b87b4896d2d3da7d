"""The noun `tenants`, and what its verbs share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import click

from scim.operate.tool.command import Function, Noun, Verb, argument, give_place
from scim.security.keys import CONNECTION_NAME

Body = Callable[..., Coroutine[Any, Any, "int | None"]]


@click.group(
    "tenants",
    cls=Noun,
    epilog="""
\b
Examples:
  list                                     who is there, and how much of it
  check contoso                            is every row sound? --fix mends what can be proven
  reindex contoso                          after an attribute became unique or an index was declared
  export contoso contoso-2026-11-25.jsonl  a backup
  import contoso-2026-11-25.jsonl          the whole of it, into an empty tenant
  import contoso-2026-11-25.jsonl --only u-abc... --only g-def...
                                           bring back what was deleted or overwritten
  erase contoso                            everything, once its connections are paused
  move contoso --to-endpoint https://OTHER.table.core.windows.net
""",
)
def group() -> None:
    """A tenant's life: what there is, whether it is sound, backup and restore, erasure, a move to another account.

    A tenant is one customer: all rows of one partition of the table. Table Storage has no backup and no way to delete a
    partition, so these commands are how both are done. Each can be run again after it was cut short. Whoever runs them
    needs the role Storage Table Data Reader on the storage account, and Storage Table Data Contributor for what writes.
    """


def make_verb(name: str, summary: str, **options: Any) -> Callable[[Body], click.Command]:
    """Make an async function a verb of this noun: its docstring is the help, `summary` the line in the list."""

    def made(function: Body) -> click.Command:
        return group.command(name, cls=Verb, short_help=summary, **options)(give_place(function))

    return made


def check_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A tenant's name, which is one as connections have it: no other partition is a tenant's."""
    if value is not None and not CONNECTION_NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no tenant's name: a-z, 0-9 and inner hyphens.")
    return value


def take_tenant(function: Function) -> Function:
    """The argument TENANT."""
    return argument("tenant", "the tenant's name, as list shows it", callback=check_name)(function)
