"""Role definitions: a GUID in a template stands in a variable that is called what the role is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dev.bicep.source import Finding, Template, literal, walk

ROLES = {
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "14b46e9e-c2b7-41b4-b07b-48a6ebf60603": "Key Vault Crypto Officer",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "21090545-7ca7-4776-b22c-e363652d74d2": "Key Vault Reader",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
}
"""Built-in roles by the GUID that they have in every Entra tenant."""

_GUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def variable(role: str) -> str:
    """What a variable for a role is called: `keyVaultSecretsUser`."""
    joined = role.replace(" ", "")
    return joined[0].lower() + joined[1:]


def check(templates: list[Template]) -> Iterator[Finding]:
    for template in templates:
        named = {declared.value.id: declared.name for declared in template.of("var") if declared.value is not None}
        for node in walk(template.root):
            text = literal(node)
            if text is None or not _GUID.fullmatch(text):
                continue
            role = ROLES.get(text.lower())
            if role is None:
                yield template.at(node, f"{text} is no role that is known; correct it, or add it to dev/bicep/roles.py")
            elif named.get(node.id) != variable(role):
                yield template.at(node, f"{text} is {role}; give it to var {variable(role)} and use that")
