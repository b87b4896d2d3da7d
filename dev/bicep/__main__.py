"""`python -m dev.bicep [infra]`: checks a folder's snapshots and the files beside them; a line for each finding.

Exit code 0 if nothing is wrong, 1 if something is, 2 if the folder has no snapshots.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dev.bicep import files, parameters, queries, roles, safety, settings
from dev.bicep.snapshots import Finding, read_snapshots
from scim.settings import Settings


def findings(infra: Path, fields: settings.Fields | None = None) -> list[Finding]:
    """What is wrong, in order. `fields` are the app's settings."""
    infra, fields = infra.resolve(), Settings.model_fields if fields is None else fields
    snapshots = read_snapshots(infra)
    found = [
        *safety.check(snapshots),
        *roles.check(snapshots),
        *settings.check(snapshots, fields),
        *parameters.check(infra, fields),
        *parameters.check_outputs(infra),
        *queries.check(infra),
        *queries.check_alerts(snapshots),
        *files.check(infra.parent, snapshots),
    ]
    return sorted(set(found), key=lambda finding: (finding.file, finding.line, finding.text))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    infra = Path(arguments[0] if arguments else "infra")
    if not list(infra.glob("snapshots/*.snapshot.json")):
        print(f"{infra} has no snapshots; name the folder of the templates", file=sys.stderr)
        return 2
    found = findings(infra)
    for finding in found:
        print(finding)
    print(f"{len(found)} findings" if found else "nothing found", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
