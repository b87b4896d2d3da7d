"""The command `python -m scim`: its nouns, and how it ends.

Exit code 0 if the command is done; 1 if it is refused, or found something wrong; 2 if it was called wrongly, or the
table or the vault cannot be reached; 130 after Ctrl-C. Errors are one line on standard error.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

import click

from scim.operate.errors import CommandError, PlaceError
from scim.operate.escaping import escape_lines
from scim.operate.tool import deployment, insight, removal, roots, shown, tenants
from scim.operate.tool.command import Noun
from scim.operate.tool.connections import connections
from scim.operate.tool.console import console
from scim.operate.tool.feed import feed
from scim.operate.tool.people import users
from scim.operate.tool.policy import policy
from scim.schema.loading import SchemaError
from scim.security.secrets import SecretsUnavailable
from scim.settings import SettingsError
from scim.store.table import TableUnavailable

PROGRAM = "python -m scim"


@click.group(
    cls=Noun,
    epilog="""
\b
Examples:
  python -m scim connections add contoso       give an identity provider access
  python -m scim why contoso adele@contoso.com why is this user not there
  python -m scim status                        how everybody's provisioning does
  python -m scim tenants list                  who is there, and how much of it
  python -m scim tenants export contoso contoso.jsonl
  python -m scim deployment check URL          does it answer, and if not, why not
  python -m scim tenants erase --help          every command has help of its own
""",
)
def scim() -> None:
    """Operate this SCIM service: say what it is about, then what to do; or ask why, or for the status.

    Run it in the project's folder with the Python in .venv. It finds the table and the connections where the app does:
    in the environment, or in local.settings.json on a laptop; --table and --vault name those of a deployment.
    """


for command in (removal.remove, *roots.COMMANDS):
    connections.add_command(command)
scim.add_command(connections)
scim.add_command(tenants.group)
scim.add_command(users)
scim.add_command(policy)
scim.add_command(feed)
scim.add_command(console)
scim.add_command(deployment.group)
for command in insight.COMMANDS:
    scim.add_command(command)


class _Escaping(logging.Formatter):
    """Log lines as they may stand in a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_lines(super().format(record))


def main(arguments: Sequence[str] | None = None, *, ca_file: str | None = None) -> int:
    """Run one command; the exit code. `ca_file` replaces the system's trusted certificates towards the vault."""
    if logging.lastResort is not None:  # what nobody handles goes to standard error
        logging.lastResort.setFormatter(_Escaping())
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        done = scim.main(given, prog_name=PROGRAM, standalone_mode=False, obj=ca_file)
        return int(done or 0)
    except click.Abort:
        shown.warn("Stopped.")
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        shown.warn(error.format_message())
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else PROGRAM
        shown.warn(f"{error.format_message()} Try {path} --help.")
        return 2
    except CommandError as error:
        shown.warn(error)
        return 1
    except (PlaceError, SchemaError, SettingsError, SecretsUnavailable) as error:
        shown.warn(error)
        return 2
    except TableUnavailable as error:
        shown.warn(f"The table does not answer: {error}")
        return 2
