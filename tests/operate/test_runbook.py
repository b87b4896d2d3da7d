"""The runbook for a leaked secret in docs/operate.md, walked as it is printed: whichever leaked, and after slips."""

from __future__ import annotations

import json
import logging
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scim.security.keys import fingerprint
from tests.security.conftest import Deployment, cloud, deployed, deployed_settings, deployment, table

__all__ = ["cloud", "deployed", "deployed_settings", "deployment", "table"]
ROOT = Path(__file__).parents[2]
TOOL = ".venv/bin/python -m scim connections "


def printed() -> list[str]:
    """The commands of the runbook, in order."""
    text = (ROOT / "docs/operate.md").read_text().partition("## A secret leaked")[2].partition("\n## ")[0]
    found = re.search(r"```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def output(command: list[str], line: str = "") -> str:
    """What a command prints that is given a line, in the project's folder."""
    done = subprocess.run(command, input=line + "\n", cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


SITUATIONS = {
    "the only one": ([], 0),
    "the older of two": (["rotate"], 0),
    "the newer of two": (["rotate"], 1),
    "the only one left, after the wrong one was ended": (["rotate", "revoke --old --force"], 1),
    "the older of two, after the wrong one was ended": (["rotate", "revoke --old --force", "rotate"], 1),
}


@pytest.mark.parametrize("situation", SITUATIONS)
async def test_runbook(deployment: Deployment, situation: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scim")
    name = deployment.name()
    secrets = [(await deployment.tool("add", name))["enter"]["Secret Token"]]
    before, which = SITUATIONS[situation]
    for command in before:
        verb, *options = shlex.split(command)
        done = await deployment.tool(verb, name, *options)
        secrets += [done["enter"]["Secret Token"]] if verb == "rotate" else []
    leaked = secrets[which]
    id = fingerprint(leaked)
    others = {key["id"] for key in (await deployment.tool("show", name))["keys"]} - {id}
    harmless = next((secret for secret in secrets if fingerprint(secret) in others), None)
    user = await deployment.client(name, leaked).new_user("eve")

    async def status(secret: str) -> int:
        return (await deployment.client(name, secret).get("/Users?filter=userName+eq+%22nobody%22")).status

    steps = iter(line.replace("NAME", name).replace(" ID", f" {id}").replace("/ID/", f"/{id}/") for line in printed())

    told = output(["bash", "-c", next(steps)], leaked)
    assert told.strip() == id

    async def step(verb: str) -> Any:
        line = next(steps)
        assert line.startswith(TOOL + verb), line
        done = await deployment.tool(*shlex.split(line.removeprefix(TOOL)))
        deployment.later(60)
        return done

    assert (await step("pause"))["state"].startswith(("paused", "no credential"))
    assert await status(leaked) == 503
    assert [each["id"] for each in (await step("revoke"))["revokedCredentials"]][-1] == id
    assert await status(leaked) == 401
    assert harmless is None or await status(harmless) == 503

    query = next(steps)
    assert query.startswith("az monitor app-insights query")
    substituted = re.search(r"\$\((sed .*)\)", query)
    assert substituted is not None
    kql = output(shlex.split(substituted[1]))
    assert f'tostring(line.credential) == "{id}"' in kql and "{credential}" not in kql
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.getMessage().startswith("{")]
    did = [line for line in lines if line.get("credential") == id and line["event"] == "request"]
    assert (did[0]["operation"], did[0]["resource"]) == ("POST Users", user["id"])
    assert [line["status"] for line in did] == [201, 503, 401]
    assert did[-1]["reason"] == "revoked"

    new = (await step("rotate"))["enter"]["Secret Token"]
    await step("resume")
    assert next(steps, None) is None
    assert [await status(each) for each in (leaked, new)] == [401, 200]
    assert harmless is None or await status(harmless) == 200


async def test_pause_says_when_everything_stands(deployment: Deployment) -> None:
    name = deployment.name()
    await deployment.run("add", name)
    text = await deployment.run("pause", name)
    assert re.search(r"the last process knows it by \d\d:\d\d:\d\d UTC", text)
    assert re.search(r"a request that began before may write until \d\d:\d\d:\d\d", text)
