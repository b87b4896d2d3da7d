"""`python -m dev.bicep [infra]`: checks the templates in a folder and the files beside it; a line for each finding.

Exit code 0 where nothing is wrong, 1 where something is, 2 where the folder has no main.bicep.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dev.bicep import declarations, files, queries, resources, roles, settings, syntax
from dev.bicep.source import Finding, read_templates
from scim.settings import Settings


def findings(infra: Path, fields: settings.Fields | None = None) -> list[Finding]:
    """What is wrong, in order. `fields` are the app's settings. A file that is no Bicep hides what else is wrong."""
    infra = infra.resolve()
    templates = read_templates(infra)
    broken = sorted(syntax.check(templates), key=_order)
    if broken:
        return broken
    main = next(template for template in templates if template.path == infra / "main.bicep")
    found = [
        *declarations.check(templates),
        *resources.check(templates),
        *roles.check(templates),
        *settings.check(templates, Settings.model_fields if fields is None else fields),
        *settings.check_parameters(main, infra / "main.parameters.json"),
        *queries.check(infra),
        *queries.check_alerts(templates),
        *files.check(infra.parent, templates),
    ]
    return sorted(set(found), key=_order)


def _order(finding: Finding) -> tuple[str, int, str]:
    return finding.file, finding.line, finding.text


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    infra = Path(arguments[0] if arguments else "infra")
    if not (infra / "main.bicep").is_file():
        print(f"{infra} has no main.bicep; name the folder of the templates", file=sys.stderr)
        return 2
    found = findings(infra)
    for finding in found:
        print(finding)
    print(f"{len(found)} findings" if found else "nothing found", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
