"""After `azd provision`: make the first connection, and print what to type in Entra.

azd runs this from the project's folder, with the outputs of the deployment in the environment: SCIM_KEY_VAULT_URL,
SCIM_TENANT_URL, SCIM_VNET_ENABLED. The connection and its tenant, which keeps its name for good, are called what
`azd env set SCIM_CONNECTION <name>` says, or what is typed when this asks for it; without a name, none is made.
Where the vault has a connection already, nothing is made. The commands run from the project's virtual environment,
.venv, which is made where there is none.

Right after a deployment the vault refuses whoever deployed: a new role takes up to ten minutes to work. So it is
tried again. The tool signs in as azd does, unless AZURE_TOKEN_CREDENTIALS says otherwise. Without a terminal, as in a
pipeline, whose log many can read, no secret is made: the command is printed that makes it.

Exit code 0 when a connection is there, or is left to somebody with a terminal, or when the vault is closed to this
machine because it stands in a virtual network; 1, and the last error, when it cannot be made; 2 where the environment
or Python is not what is needed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

TRIES = 30
PAUSE = 20
"""Seconds between two tries."""

NAME = re.compile("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""What connections and tenants are called."""
QUESTION = (
    "Whose users come first? The customer's name in a-z, 0-9 and hyphens, such as contoso, names the connection and,\n"
    "for good, the tenant that its users are kept in. Empty: make no connection now.\nName: "
)
PIPELINES = ("CI", "GITHUB_ACTIONS", "TF_BUILD")
"""Variables that pipelines set; some of them give their jobs a terminal, and keep what it shows."""
Run = Callable[["list[str]"], "subprocess.CompletedProcess[str]"]
"""Runs a command, captures its standard output and standard error as text."""


def main() -> int:
    """Make the environment, then the connection; the exit code."""
    missing = [name for name in ("SCIM_KEY_VAULT_URL", "SCIM_TENANT_URL") if not os.environ.get(name)]
    if missing:
        return _fail(2, f"{', '.join(missing)} is not set: run azd provision, which runs this")
    if sys.version_info < (3, 11):  # noqa: UP036 - it is not the project's Python that azd finds
        return _fail(2, "Python 3.11 or newer is needed; put one first in PATH and run azd provision again")
    try:
        python = _environment(Path(".venv"))
    except (OSError, subprocess.CalledProcessError) as error:
        return _fail(1, f"the virtual environment .venv could not be made: {error}")
    ask: Callable[[str], str] = input if sys.stdin.isatty() else lambda _: ""
    return connect(str(python), os.environ, _run, time.sleep, ask, terminal=sys.stdout.isatty())


def connect(
    python: str,
    environment: Mapping[str, str],
    run: Run,
    pause: Callable[[float], object],
    ask: Callable[[str], str],
    *,
    terminal: bool,
) -> int:
    """Make a connection unless there is one; the exit code. Its name is asked for, and its secret printed, in a
    `terminal` alone."""
    seen = terminal and not any(environment.get(name) for name in PIPELINES)
    command = [python, "-m", "scim", "connections"]
    vault = ["--vault", environment["SCIM_KEY_VAULT_URL"]]
    url = ["--url", environment["SCIM_TENANT_URL"]]
    name = environment.get("SCIM_CONNECTION")
    add = [*command, "add", name or "NAME", *vault, *url]
    later = "The app is deployed all the same. Once that is remedied, run:"
    another = " ".join([*command, "add", "NAME", *vault, *url])
    done: subprocess.CompletedProcess[str] | None = None
    tries = 1 if environment.get("SCIM_VNET_ENABLED", "").lower() == "true" else TRIES
    for number in range(tries):
        if number:
            print(f"{_last_line(done)}: trying again in {PAUSE} s", file=sys.stderr)
            pause(PAUSE)
        done = run([*command, "list", *vault, "--json"])
        if done.returncode == 0 and json.loads(done.stdout):
            names = ", ".join(str(connection["name"]) for connection in json.loads(done.stdout))
            print(f"The vault has a connection already ({names}). To make another one:\n  {another}")
            return 0
        if done.returncode == 0 and not seen:
            print("No connection was made, because its secret is printed in a terminal only. In one, run:")
            print(f"  {shlex.join(add)}")
            return 0
        if done.returncode == 0:
            name = name or _ask_name(ask)
            if not name:
                print(f"No connection was made. To make one:\n  {another}")
                return 0
            add = [*command, "add", name, *vault, *url]
            done = run([*add, "--print-secret"])
        if done.returncode == 0:
            print(done.stdout, end="")
            return 0
    if environment.get("SCIM_VNET_ENABLED", "").lower() == "true":
        print(f"The vault is closed to this machine. In the virtual network, run:\n  {' '.join(add)}")
        return 0
    return _fail(1, f"no connection was made: {_last_line(done)}. {later}\n  {' '.join(add)}")


def _ask_name(ask: Callable[[str], str]) -> str:
    """The name that is typed; empty if there is to be none."""
    name = ask(QUESTION).strip()
    while name and not NAME.fullmatch(name):
        name = ask(f"{name!r} is no name: use a-z, 0-9 and inner hyphens, 63 characters at most.\nName: ").strip()
    return name


def _environment(folder: Path) -> Path:
    """The Python of the project's virtual environment, with the tool's packages. Raises CalledProcessError."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*install, "-r", "requirements-operate.txt"], check=True)
    return python


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {"AZURE_TOKEN_CREDENTIALS": "AzureDeveloperCliCredential", **os.environ}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def _last_line(done: subprocess.CompletedProcess[str] | None) -> str:
    lines = done.stderr.strip().splitlines() if done else []
    return lines[-1] if lines else "no error was told"


def _fail(code: int, message: str) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
