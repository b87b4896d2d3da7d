"""`python -m dev.core_tools`: the app in the real Functions host (`func start` of the Core Tools) on Azurite.

The same as `make run`, with the host that runs in Azure in place of ours. With `--rehearse` a small rehearsal of what
Entra does is played against it, and the exit code is the rehearsal's; without, it serves until Ctrl-C. The app's
settings are those of local.settings.json, which is made if it is not there.

PORT (7071) is where the host listens. Exit code 1, and one line, if something is missing or the host does not answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from dev.azurite import Azurite, StartError
from dev.run.settings_file import create_settings
from scim.operate import deployment

_SETTINGS = Path("local.settings.json")
_PATIENCE = 120.0
"""Seconds that the host may take to start."""
_REHEARSAL = ("--users", "12", "--groups", "3", "--cycles", "1")


def main() -> int:
    """Serve, and rehearse if asked; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.core_tools", description="Run the app under func start.")
    parser.add_argument("--rehearse", action="store_true", help="play Entra's provisioning against it, then end")
    options = parser.parse_args()
    try:
        return _run(rehearse=options.rehearse)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1


def _run(*, rehearse: bool) -> int:
    func, port = shutil.which("func"), os.environ.get("PORT", "7071")
    if func is None:
        raise StartError("there is no func; run: npm install --global azure-functions-core-tools@4")
    if not _SETTINGS.exists():
        create_settings()
    values = json.loads(_SETTINGS.read_text(encoding="utf-8"))["Values"]
    url = f"http://127.0.0.1:{port}/scim"
    with Azurite() as azurite:
        azurite.create_table(values["SCIM_TABLE_NAME"])
        environment = {**os.environ, "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string}
        # The host would keep the timer's lease and its own keys in blobs, and this Azurite has tables alone.
        environment |= {"AzureWebJobs.housekeeping.Disabled": "true", "AzureWebJobsSecretStorageType": "files"}
        environment |= {"FUNCTIONS_CORE_TOOLS_TELEMETRY_OPTOUT": "1"}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        host = subprocess.Popen([func, "start", "--port", port], env=environment)
        try:
            answer = deployment.check(url, patience=_PATIENCE)
            if not answer.works:
                raise StartError(f"the host does not serve the app: {deployment.explain(answer)}")
            return _rehearse(url, values) if rehearse else host.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            host.terminate()
            host.wait()


def _rehearse(url: str, values: dict[str, str]) -> int:
    connection = next(iter(json.loads(values["SCIM_CONNECTIONS"]).values()))
    key = connection["keys"][0]
    token = key["value"] if isinstance(key, dict) else key
    command = [sys.executable, "-m", "dev.rehearse", url, *_REHEARSAL]
    return subprocess.run(command, env={**os.environ, "SCIM_TOKEN": token}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
