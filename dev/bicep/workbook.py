"""`python -m dev.bicep.workbook`: writes infra/workbook.json from the queries in infra/queries.

The workbook shows each query under a title. `{request}` and `{credential}` in a query are parameters that the reader
types.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TITLES = {
    "provisioning": "Provisioning by tenant",
    "failures": "What fails",
    "auth-failures": "Refused credentials by connection",
    "revoked-credentials": "Uses of revoked credentials",
    "changes": "Who did what",
    "mass-changes": "Disabled and deleted by tenant",
    "quotas": "Tenants and their quotas",
    "sinks": "Webhooks that take no events, by tenant",
    "overdue-cycles": "Cycles that have not come",
    "expiring-credentials": "Credentials that end soon",
    "latency": "Latency and trips to the table by operation",
    "storage": "Table Storage: busy answers and trips",
    "housekeeping": "Housekeeping",
    "request": "One request",
    "credential": "What one credential did",
}
"""By file, in the order of the workbook."""

OF_THE_WORKSPACE = ("log-volume",)
"""Queries of alerts on the workspace, whose tables the workbook cannot read."""

_RESOURCE = "microsoft.insights/components"
_DAY = 24 * 60 * 60 * 1000


def build(queries: Path) -> dict[str, Any]:
    """The workbook of a folder of queries. A query without a title comes last, under its file's name."""
    names = sorted(path.stem for path in queries.glob("*.kql") if path.stem not in OF_THE_WORKSPACE)
    ordered = [*(name for name in TITLES if name in names), *(name for name in names if name not in TITLES)]
    return {
        "version": "Notebook/1.0",
        "items": [_parameters(), *(_item(name, (queries / f"{name}.kql").read_text("utf-8")) for name in ordered)],
        "fallbackResourceIds": ["<component>"],
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    }


def _parameters() -> dict[str, Any]:
    durations = [{"durationMs": _DAY * days} for days in (1, 2, 7, 14, 30)]
    time = {
        "id": "5f4f7e0c-8c1c-4d3e-9a53-0c0a7d3a2b01",
        "version": "KqlParameterItem/1.0",
        "name": "time",
        "label": "Time range",
        "type": 4,
        "isRequired": True,
        "value": {"durationMs": _DAY},
        "typeSettings": {"selectableValues": durations, "allowCustom": True},
    }
    typed = [
        {
            "id": f"5f4f7e0c-8c1c-4d3e-9a53-0c0a7d3a2b0{number}",
            "version": "KqlParameterItem/1.0",
            "name": name,
            "label": label,
            "type": 1,
            "value": "",
        }
        for number, name, label in ((2, "request", "Request id"), (3, "credential", "Credential id"))
    ]
    content = {"version": "KqlParameterItem/1.0", "parameters": [time, *typed], "style": "pills", "queryType": 0}
    return {"type": 9, "content": {**content, "resourceType": _RESOURCE}, "name": "parameters"}


def _item(name: str, query: str) -> dict[str, Any]:
    content = {
        "version": "KqlItem/1.0",
        "query": query,
        "size": 0,
        "title": TITLES.get(name, name),
        "timeContextFromParameter": "time",
        "queryType": 0,
        "resourceType": _RESOURCE,
        "visualization": "table",
    }
    return {"type": 3, "content": content, "name": name}


def main() -> None:
    """Write the file."""
    infra = Path("infra")
    (infra / "workbook.json").write_text(json.dumps(build(infra / "queries"), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
