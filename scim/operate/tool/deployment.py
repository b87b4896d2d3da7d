"""`python -m scim deployment`: what the whole deployment is asked, not one tenant of it."""

from __future__ import annotations

import json

import click

from scim.operate import deployment
from scim.operate.errors import CommandError
from scim.operate.tool import shown
from scim.operate.tool.command import Noun, Verb, argument, option


@click.group("deployment", cls=Noun)
def group() -> None:
    """A deployment as a whole: whether it answers, and if not, what is wrong."""


@group.command("check", cls=Verb, short_help="Whether a deployment answers; if not, what that means.")
@argument("url", "the tenant URL, such as https://NAME.azurewebsites.net/scim")
@option("--wait", type=click.FloatRange(min=0), default=deployment.PATIENCE, show_default=True, help="seconds to go on")
@option("--json", "as_json", is_flag=True, help="the answer as JSON")
def check(url: str, wait: float, as_json: bool) -> int:
    """Ask a deployment's /health until everything works, or for some minutes: a new one needs some.

    Exit code 0 if it works; 1, with what the answer means and what to do, if it does not.
    """
    try:
        answer = deployment.check(url, patience=wait)
    except ValueError as error:
        raise CommandError(str(error)) from None
    app = deployment.find_health(url).split("//")[1].split("/")[0].partition(".")[0]
    if as_json:
        shown.show(json.dumps({"works": answer.works, "status": answer.status, "answer": answer.document}))
    elif answer.works:
        shown.show("The deployment works: the host, the app, its table and its connections.")
    if not answer.works:
        raise CommandError(deployment.explain(answer, app))
    return 0
