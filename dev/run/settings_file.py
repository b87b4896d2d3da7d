"""`local.settings.json`, as the Functions Core Tools have it: made, read, and renewed."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from dev.azurite import StartError
from scim.security.keys import new_key
from scim.security.seals import create_seal, write_seals

SETTINGS = Path("local.settings.json")
_SAMPLE = Path("local.settings.sample.json")


def create_settings() -> None:
    """Make local.settings.json from the sample, with two tenants, an application that reads them, and a fresh API key
    for each."""
    settings, seal = _read_object(_SAMPLE), create_seal()
    connections: dict[str, dict[str, Any]] = {
        name: {"tenant": name, "kind": "api-key", "access": "write", "keys": [new_key(name, seal)]}
        for name in ("contoso", "fabrikam")
    }
    operator = {"tenants": "*", "rights": ["feed", "read", "manage"]}
    connections["application"] = {"operator": operator, "keys": [new_key("application", seal)]}
    settings["Values"]["SCIM_CONNECTIONS"] = json.dumps(connections)
    settings["Values"]["SCIM_SEALS"] = write_seals((seal,))
    _write_settings(settings, os.O_CREAT | os.O_EXCL)
    _say(f"Made {SETTINGS} with a fresh API key for each of {' and '.join(connections)}")


def renew_keys(values: dict[str, Any]) -> None:
    """Make the keys anew that this service made before keys had seals, when local.settings.json had no SCIM_SEALS."""
    try:
        connections = json.loads(values.get("SCIM_CONNECTIONS") or "{}")
        old = [name for name, each in connections.items() if _is_unsealed(name, each["keys"])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return  # what is wrong with it is told by the settings
    if not old or "SCIM_SEALS" in values:
        return
    seal = create_seal()
    for name in old:
        connections[name]["keys"] = [new_key(name, seal)]
    settings = _read_object(SETTINGS)
    settings["Values"] |= {"SCIM_CONNECTIONS": json.dumps(connections), "SCIM_SEALS": write_seals((seal,))}
    _write_settings(settings, os.O_TRUNC)
    values |= settings["Values"]
    _say(f"The keys of {' and '.join(old)} in {SETTINGS} were made by an older version: they have new ones now")


def read_values() -> dict[str, str]:
    """Return the Values of local.settings.json; StartError names what is wrong with them and what to do."""
    settings = _read_object(SETTINGS)
    if settings.get("IsEncrypted"):
        raise StartError(f"{SETTINGS}: IsEncrypted must be false; run: func settings decrypt")
    values = settings.get("Values")
    if not isinstance(values, dict):
        raise StartError(f"{SETTINGS}: Values must be an object")
    for name, value in values.items():
        if not isinstance(value, str):
            raise StartError(f"{SETTINGS}: {name} must be a string")
    return values


def _is_unsealed(name: str, keys: list[object]) -> bool:
    """Whether keys are of the form that they had before they had seals."""
    return bool(keys) and all(
        isinstance(key, str) and re.fullmatch(rf"scim_{re.escape(name)}_[0-9A-Za-z]{{38}}", key) for key in keys
    )


def _write_settings(settings: dict[str, Any], how: int) -> None:
    with open(os.open(SETTINGS, os.O_WRONLY | how, 0o600), "w") as file:
        json.dump(settings, file, indent=2)
        file.write("\n")


def _read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; StartError names the file, what is wrong with it and what to do."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        again = " (without it, the next run makes a new one, with new keys)" if path == SETTINGS else ""
        raise StartError(f"{path} cannot be read: {error}; mend it, or move it away{again}") from None
    if not isinstance(value, dict):
        raise StartError(f"{path} must hold a JSON object")
    return value


def _say(progress: str) -> None:
    print(progress, file=sys.stderr)
