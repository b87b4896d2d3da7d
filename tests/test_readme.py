"""The documentation is held against the code: settings page, security page and README's walk."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pydantic_core import PydanticUndefined

from dev.azurite import free_port
from dev.bench import quoted
from scim.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent


def settings_table() -> list[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        required = field.default is PydanticUndefined and field.default_factory is None
        shown = {None: "none", PydanticUndefined: "{}", (): "[]"}.get(field.default, field.default)
        default = "required" if required else shown
        shown = str(default).lower() if isinstance(default, bool) else default
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return rows


def test_the_settings_page_is_the_settings() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| `SCIM_")] == settings_table()


def test_the_security_page_names_tests_that_are_there() -> None:
    promises = (ROOT / "docs/security.md").read_text().partition("## Promises")[2].partition("\n## ")[0]
    path, rows = ROOT, [line for line in promises.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 15
    for row in rows:
        names = re.findall(r"`([^`]*(?:\.py|::)[^`]*)`", row)
        assert names, f"no test holds: {row}"
        for file, _, test in (name.partition("::") for name in names):
            path = ROOT / file if file else path
            assert f"def {test}(" in path.read_text() if test else path.is_file(), f"{file}::{test}"


def test_the_readme_quotes_the_benchmarks() -> None:
    readme, page = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/benchmarks.md"))
    assert quoted.fill(readme, page) == readme, "run python -m dev.bench.quoted"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, str]]]:
    """By tenant, the tenant URL and token under `python -m dev.run`, in a folder of its own; an operator's connection,
    too."""
    tmp_path = tmp_path_factory.mktemp("served")
    for name in ("function_app.py", "host.json", "local.settings.sample.json", "scim", "dev"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = {**os.environ, "PORT": str(free_port()), "TABLE_PORT": str(free_port()), "MEMORY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dev.run"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().split() for _ in range(3)]
        assert [line[0] for line in lines] == ["contoso", "fabrikam", "application"]
        yield {name: (url, token) for name, url, token in lines}
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(10)


def test_the_walk_works_as_printed(served: dict[str, tuple[str, str]]) -> None:
    text = (ROOT / "README.md").read_text()
    section = text.partition("## A walk with curl")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    script = "\n".join(["set -eu", *blocks])
    url, token = served["contoso"]
    script = re.sub(r"^URL=.*$", f"URL={url}", script, flags=re.MULTILINE)
    script = re.sub(r"^TOKEN=.*$", f"TOKEN={token}", script, flags=re.MULTILINE)
    script = re.sub(r"^APPLICATION=.*$", f"APPLICATION={served['application'][1]}", script, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) if line else None for line in done.stdout.splitlines()]
    empty, created, by_mail, read, patched, added, renamed, group, disabled, told, deleted, left, gone = answers
    assert empty["totalResults"] == 0
    assert created["id"] == read["id"] == by_mail["Resources"][0]["id"]
    assert patched["addresses"] == [{"type": "work", "locality": "Bellevue", "country": "United States"}]
    assert (added, renamed, deleted, gone) == (None, None, None, None)
    assert group["displayName"] == "Sales EMEA"
    assert [member["value"] for member in group["members"]] == [created["id"]]
    assert disabled["active"] is False
    assert disabled["groups"][0]["value"] == group["id"]
    assert "members" not in left
    (event,) = told["events"]
    assert (event["type"], event["changed"], event["resource"]["id"]) == ("user.deactivated", ["active"], created["id"])


def test_an_application_reads_as_printed(served: dict[str, tuple[str, str]]) -> None:
    """The commands and the code of docs/application.md, on five users of contoso."""
    url, token = served["contoso"]
    names = {f"reader-{number}@contoso.example" for number in range(5)}
    for name in names:
        body = json.dumps({"userName": name}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        with urlopen(Request(f"{url}/Users", body, headers), timeout=20) as answer:
            assert answer.status == 201
    section = (ROOT / "docs/application.md").read_text().partition("## Read users and groups")[2]
    base, operators = served["application"]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    script = "\n".join(["set -eu", *blocks])
    script = re.sub(r"^BASE=.*$", f"BASE={base.partition('/<tenant>')[0]}", script, flags=re.MULTILINE)
    script = re.sub(r"^TOKEN=.*$", f"TOKEN={operators}", script, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    users, nobody, groups, described, again, changes = map(json.loads, done.stdout.splitlines())
    assert again["totalResults"] == users["totalResults"] and changes["events"] == [] and not changes["more"]
    assert names <= {user["userName"] for user in users["Resources"]}
    assert (nobody["totalResults"], groups["itemsPerPage"]) == (0, len(groups["Resources"]))
    assert "{tenant}" in described["servers"][0]["url"]

    scope: dict[str, Any] = {}
    exec(re.findall(r"```python\n(import.*?)```", section, re.DOTALL)[0].replace("1000", "2"), scope)
    found = [user["userName"] for user in scope["read_all"](base.replace("<tenant>", "contoso"), operators)]
    assert names <= {*found} and len(found) == len({*found})
