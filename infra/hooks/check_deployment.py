"""After `azd deploy`: whether the app answers; if not, what that means and what to do.

azd runs this from the project's folder, with the outputs of the deployment in the environment: SCIM_TENANT_URL,
AZURE_FUNCTION_APP_NAME, SCIM_ENTRA_ONLY. It asks /health for five minutes. If only Entra's addresses reach the app, it
says how to look instead. Exit code 0 if the app works or cannot be asked from here, 1 if it does not work, 2 if the
environment is not what is needed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from scim.operate import deployment


def main() -> int:
    """Ask and tell; the exit code."""
    url, app = os.environ.get("SCIM_TENANT_URL"), os.environ.get("AZURE_FUNCTION_APP_NAME") or "NAME"
    if not url:
        print("SCIM_TENANT_URL is not set: run azd deploy, which runs this", file=sys.stderr)
        return 2
    if os.environ.get("SCIM_ENTRA_ONLY", "").lower() == "true":
        print(
            f"Only Entra's addresses reach the app, so nobody asked it. Test Connection in Entra does, with {url}; an "
            "availability test of Application Insights on /health does it all the time."
        )
        return 0
    patience = float(os.environ.get("SCIM_CHECK_SECONDS") or deployment.PATIENCE)
    print(f"Waiting for the app to answer, {patience:.0f} s at the most", file=sys.stderr)
    answer = deployment.check(url, patience=patience)
    if answer.works:
        print(f"The app answers: its table and its connections work. The tenant URL for Entra is {url}")
        return 0
    print(f"The app is deployed, but does not work. {deployment.explain(answer, app)}", file=sys.stderr)
    print(f"To look again: .venv/bin/python -m scim deployment check {url}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
