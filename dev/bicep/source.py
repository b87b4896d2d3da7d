"""Bicep files as syntax trees: what a template declares and uses, and helpers to walk its nodes.

The tree is tree-sitter's. A node's line is counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

Node = tree_sitter.Node

_LANGUAGE = tree_sitter.Language(tree_sitter_bicep.language())
_DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
    "type_declaration": "type",
    "user_defined_function": "func",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a line of a file, and how to put it right."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """`param`, `var`, `resource`, `module`, `output`, `type` or `func`, with its decorators by name."""

    kind: str
    name: str
    node: Node
    decorators: dict[str, Node] = field(default_factory=dict)

    @property
    def line(self) -> int:
        return line_of(self.node)

    @property
    def value(self) -> Node | None:
        """What stands after the equals sign; None for a parameter without a default."""
        seen = False
        for child in self.node.children:
            if seen and child.is_named:
                return child
            seen = seen or child.type == "="
        return None

    @property
    def target(self) -> str:
        """A resource's type and API version, or a module's path, as written."""
        found = next(child for child in children(self.node) if child.type == "string")
        return literal(found) or ""


@dataclass(frozen=True)
class Template:
    """One Bicep file. `name` is its path as findings show it, from the project's folder."""

    path: Path
    name: str
    text: str

    @cached_property
    def root(self) -> Node:
        return parse(self.text)

    @cached_property
    def declarations(self) -> list[Declaration]:
        return list(_declarations(self.root))

    def of(self, *kinds: str) -> list[Declaration]:
        """The declarations of these kinds, in order; nested resources too."""
        return [found for found in self.declarations if found.kind in kinds]

    def named(self, name: str, *kinds: str) -> Declaration | None:
        return next((found for found in self.of(*kinds) if found.name == name), None)

    def at(self, node: Node, text: str) -> Finding:
        return Finding(self.name, line_of(node), text)


def read_templates(infra: Path) -> list[Template]:
    """Every Bicep file below a folder."""
    paths = sorted(infra.rglob("*.bicep"))
    return [Template(path, f"{path.relative_to(infra.parent).as_posix()}", path.read_text("utf-8")) for path in paths]


@lru_cache(maxsize=256)
def parse(text: str) -> Node:
    return tree_sitter.Parser(_LANGUAGE).parse(text.encode()).root_node


def line_of(node: Node) -> int:
    return int(node.start_point[0]) + 1


def text_of(node: Node) -> str:
    return (node.text or b"").decode()


def children(node: Node) -> list[Node]:
    """The node's named children but for comments."""
    return [child for child in node.children if child.is_named and child.type != "comment"]


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in order."""
    yield node
    for child in node.children:
        yield from walk(child)


def literal(node: Node | None) -> str | None:
    """The text of a string without interpolation; None for anything else."""
    if node is None or node.type != "string" or any(child.type == "interpolation" for child in node.children):
        return None
    return re.sub(r"\\(.)", r"\1", "".join(text_of(child) for child in children(node)))


def scalar(node: Node | None) -> str | int | bool | None:
    """The value of a literal string, number or boolean; None for anything else."""
    if node is None:
        return None
    if node.type == "boolean":
        return text_of(node) == "true"
    return int(text_of(node)) if node.type == "number" else literal(node)


def properties(node: Node) -> Iterator[tuple[str | None, Node, Node]]:
    """(name, key, value) of each property of an object; the name is None where it is computed."""
    for child in children(node):
        parts = children(child)
        if child.type == "object_property" and len(parts) == 2:
            key, value = parts
            yield (text_of(key) if key.type == "identifier" else literal(key)), key, value


def member(node: Node | None, *names: str) -> Node | None:
    """The value at a path of names inside an object; None where there is none."""
    for name in names:
        if node is None or node.type != "object":
            return None
        node = next((value for found, _, value in properties(node) if found == name), None)
    return node


def body(declaration: Declaration) -> Node | None:
    """The object of a resource or module, out of its condition or loop."""
    node = children(declaration.node)[-1]
    while node.type in ("if_statement", "for_statement"):
        node = children(node)[-1]
    return node if node.type == "object" else None


def called(node: Node) -> str | None:
    """The name of the function, or method, that a call calls; None where the node is no call."""
    if node.type != "call_expression":
        return None
    function = node.child_by_field_name("function")
    if function is not None and function.type == "member_expression":
        function = function.child_by_field_name("property")
    return text_of(function) if function is not None else None


def arguments(node: Node) -> list[Node]:
    found = node.child_by_field_name("arguments")
    return children(found) if found is not None else []


def _declarations(root: Node) -> Iterator[Declaration]:
    decorators: dict[str, Node] = {}
    for node in root.children:
        if node.type == "decorators":
            calls = [child for decorator in children(node) for child in children(decorator)]
            decorators = {called(call) or "": call for call in calls}
        elif kind := _DECLARATIONS.get(node.type):
            yield _declaration(kind, node, decorators)
            decorators = {}
            yield from (_declaration("resource", nested, {}) for nested in _nested(node))


def _declaration(kind: str, node: Node, decorators: dict[str, Node]) -> Declaration:
    name = next(child for child in children(node) if child.type == "identifier")
    return Declaration(kind, text_of(name), node, decorators)


def _nested(node: Node) -> Iterator[Node]:
    for child in node.children:
        for found in walk(child):
            if found.type == "resource_declaration":
                yield found
