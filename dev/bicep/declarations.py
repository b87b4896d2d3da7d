"""Names: what is declared is used and described, what is used is declared, and modules get what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dev.bicep.source import (
    Declaration,
    Finding,
    Node,
    Template,
    arguments,
    body,
    called,
    children,
    literal,
    member,
    properties,
    text_of,
    walk,
)

OUTPUTS = (
    "SCIM_TENANT_URL",
    "SCIM_TOKEN_ENDPOINT",
    "SCIM_KEY_VAULT_URL",
    "SCIM_TABLE_ENDPOINT",
    "SCIM_TABLE_NAME",
    "SCIM_VNET_ENABLED",
    "AZURE_FUNCTION_APP_NAME",
    "AZURE_RESOURCE_GROUP",
)
"""What azd, its hook and the admin read after a deployment."""

_LOCALS = ("loop_variable", "loop_enumerator")


def check(templates: list[Template]) -> Iterator[Finding]:
    by_path = {template.path.resolve(): template for template in templates}
    for template in templates:
        yield from _descriptions(template)
        yield from _used_and_declared(template)
        yield from _loaded_files(template)
        yield from _secrets(template)
        for module in template.of("module"):
            yield from _module(template, module, by_path)
    yield from _outputs(templates, by_path)


def _descriptions(template: Template) -> Iterator[Finding]:
    for declared in template.of("param", "output"):
        call = declared.decorators.get("description")
        if call is None or not any((literal(argument) or "").strip() for argument in arguments(call)):
            remedy = f"write @description('…') above {declared.kind} {declared.name}"
            yield template.at(declared.node, f"{declared.name} has no description; {remedy}")


def _used_and_declared(template: Template) -> Iterator[Finding]:
    uses = list(_uses(template))
    names = {text_of(node) for node in uses}
    for declared in template.of("param", "var"):
        if declared.name not in names:
            yield template.at(declared.node, f"{declared.kind} {declared.name} is never used; use or remove it")
    known = {declared.name for declared in template.declarations if declared.kind != "output"}
    for node in walk(template.root):
        if node.type in _LOCALS:
            known.add(text_of(node))
        elif node.type == "for_statement" and (variable := node.child_by_field_name("initializer")) is not None:
            known.add(text_of(variable))
        elif node.type == "lambda_expression":
            known |= {text_of(found) for found in walk(children(node)[0]) if found.type == "identifier"}
    for node in uses:
        if text_of(node) not in known:
            yield template.at(node, f"{text_of(node)} is not declared; declare it or correct the name")


def _uses(template: Template) -> Iterator[Node]:
    """The identifiers that stand for a value: no keys, no functions, no names of declarations."""
    named = {children(declared.node)[0].id for declared in template.declarations}
    for node in walk(template.root):
        parent = node.parent
        if node.type != "identifier" or parent is None or node.id in named:
            continue
        is_key = parent.type == "object_property" and children(parent)[0].id == node.id
        is_function = parent.type == "call_expression" and parent.child_by_field_name("function") == node
        if not is_key and not is_function and parent.type not in ("decorator", "target_scope_assignment", *_LOCALS):
            yield node


def _loaded_files(template: Template) -> Iterator[Finding]:
    for node in walk(template.root):
        if called(node) in ("loadTextContent", "loadJsonContent", "loadFileAsBase64", "loadYamlContent"):
            path = literal(arguments(node)[0]) if arguments(node) else None
            if path is None or not (template.path.parent / path).is_file():
                yield template.at(node, f"{path} does not exist; give the path of a file from this file's folder")


def _secrets(template: Template) -> Iterator[Finding]:
    for node in walk(template.root):
        name = called(node) or ""
        if re.match("list([A-Z]|$)", name):
            yield template.at(node, f"{name}() puts a secret into a deployment; give an identity a role instead")


def _module(template: Template, module: Declaration, by_path: dict[Path, Template]) -> Iterator[Finding]:
    target = by_path.get((template.path.parent / module.target).resolve())
    if target is None:
        yield template.at(module.node, f"module {module.target} does not exist; correct the path")
        return
    given = member(body(module), "params")
    passed = {name: key for name, key, _ in properties(given)} if given is not None else {}
    wanted = {declared.name: declared for declared in target.of("param")}
    for name, key in passed.items():
        if name not in wanted:
            yield template.at(key, f"{target.name} has no param {name}; remove it or declare it there")
    for name, declared in wanted.items():
        if name not in passed and declared.value is None:
            yield template.at(
                module.node, f"module {module.name} lacks param {name}, which {target.name} requires; pass it"
            )


def _outputs(templates: list[Template], by_path: dict[Path, Template]) -> Iterator[Finding]:
    used: set[tuple[str, str]] = set()
    lost = False
    for template in templates:
        modules = {m.name: by_path.get((template.path.parent / m.target).resolve()) for m in template.of("module")}
        lost = lost or None in modules.values()
        for node, module, name in _module_outputs(template):
            target = modules.get(module)
            if target is not None and target.named(name, "output") is None:
                yield template.at(node, f"{target.name} has no output {name}; declare it there or correct the name")
            elif target is not None:
                used.add((target.name, name))
    for template in templates:
        is_main = template.path.name == "main.bicep"
        for output in template.of("output"):
            if not is_main and not lost and (template.name, output.name) not in used:
                yield template.at(output.node, f"output {output.name} is never read; read or remove it")
        for name in OUTPUTS if is_main else ():
            if template.named(name, "output") is None:
                yield Finding(
                    template.name, 1, f"output {name} is missing, which azd, its hook or the admin reads; add it"
                )


def _module_outputs(template: Template) -> Iterator[tuple[Node, str, str]]:
    """(node, module, output) of each `module.outputs.output`."""
    for node in walk(template.root):
        if node.type != "member_expression":
            continue
        found = re.fullmatch(r"(\w+)!?\.\??outputs\.\??(\w+)", text_of(node))
        if found:
            yield node, found[1], found[2]
