"""What all nouns and verbs share: their help, and the options that say where things are."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import click

from scim.operate.place import Place

_WIDTH = 110
_WHERE = "Where it is"
ARGUMENTS = "scim.arguments"
"""In a context's `meta`: what the command was given, as it was typed."""
Function = Callable[..., Any]


class Noun(click.Group):
    """A group of commands."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("context_settings", {"max_content_width": _WIDTH, "help_option_names": ["-h", "--help"]})
        super().__init__(*arguments, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added, which is that of a tenant's or a connection's life."""
        return list(self.commands)


class Verb(click.Command):
    """A command. Its options stand in sections of its help, by the `section` of each."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # click leaves it out of some, and then nobody knows whose help to name
            raise

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        where = sections.pop(_WHERE, [])
        for name, records in [*sections.items(), (_WHERE, where)]:
            if not records:
                continue
            with formatter.section(name):
                formatter.write_dl(records)


class Argument(click.Argument):
    """An argument with a line in the help."""

    section = "Arguments"

    def __init__(self, *declarations: Any, help: str, **options: Any) -> None:
        super().__init__(*declarations, **options)
        self._help = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), self._help


class Option(click.Option):
    """An option that stands in a section of the help."""

    def __init__(self, *declarations: Any, section: str = "Options", **options: Any) -> None:
        super().__init__(*declarations, **options)
        self.section = section


class Address(click.ParamType[str]):
    """An https:// address, or an http:// one of this machine if `local`; a slash at its end is taken off. `ending` is
    what it must end with."""

    name = "URL"

    def __init__(self, ending: str = "", *, local: bool = False) -> None:
        self._ending = ending
        self._local = local

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        where = urlsplit(value)
        here = self._local and where.scheme == "http" and where.hostname in ("127.0.0.1", "localhost")
        if not (where.hostname and (here or where.scheme == "https")):
            self.fail(f"{value!r} is no address that begins with https://.", param, ctx)
        if where.query or where.fragment or any(map(str.isspace, value)):
            self.fail(f"{value!r} must have no ?, no # and no space in it.", param, ctx)
        address = value.rstrip("/")
        if not address.endswith(self._ending):
            self.fail(f"{value!r} must end with {self._ending}, as the tenant URL does.", param, ctx)
        return address


def argument(name: str, help: str, **options: Any) -> Callable[[Function], Function]:
    """An argument of a command, described in its help."""
    return click.argument(name, cls=Argument, help=help, **options)


def option(*names: str, **options: Any) -> Callable[[Function], Function]:
    """An option of a command; `section` is where it stands in the help."""
    return click.option(*names, cls=Option, **options)


def give_place(function: Callable[..., Coroutine[Any, Any, int | None]]) -> Function:
    """Make an async function the body of a command: it gets the Place that the options name, before its own options.
    What it returns is the exit code, None being 0."""

    @option("--vault", type=Address(), section=_WHERE, help="the Key Vault, such as https://NAME.vault.azure.net")
    @option("--local", metavar="FILE", section=_WHERE, help="a settings file, even if a vault is configured")
    @option(
        "--table",
        type=Address(),
        section=_WHERE,
        help="the table endpoint, such as https://NAME.table.core.windows.net; SCIM_TABLE_NAME is the table's name",
    )
    @option("--json", "as_json", is_flag=True, help="print JSON")
    @functools.wraps(function)
    def run(
        vault: str | None,
        local: str | None,
        table: str | None,
        as_json: bool,
        **given: Any,
    ) -> int | None:
        context = click.get_current_context()
        if vault and local:
            raise click.UsageError("--vault and --local are two places: give one.", context)
        place = Place(vault=vault, local=local, table_url=table, json=as_json, ca_file=context.obj)
        return asyncio.run(function(place, **given))

    return run
