"""The parser of filters and paths.

It reads the grammar of RFC 7644 §3.4.2.2 and §3.5.2 and the two forms in which Entra leaves it: unquoted values
(`externalId eq jyoung`) and a comparison behind a value path (`emails[type eq "work"].value eq "x"`, read as
`emails[type eq "work" and value eq "x"]`). Names and operators come in any case. Microsoft's library does not escape
backslashes, so one that begins no JSON escape is a backslash.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache

from scim.errors import INVALID_FILTER, INVALID_PATH, ErrorKind, ScimError
from scim.filter.tree import And, Compare, Filter, Literal, Not, Or, Path, Present, ValuePath

MAX_LENGTH = 4096
"""Characters of a filter or path: what fits into a URL of the Functions front end."""
MAX_DEPTH = 32

_TOKEN = re.compile(r'\s*(?:(?P<mark>[()\[\]])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+))', re.DOTALL)
_ATTRIBUTE = re.compile(r"(?:urn:[^\s]+:)?[A-Za-z$][\w$-]*(?:\.[A-Za-z$][\w$-]*)?", re.IGNORECASE | re.ASCII)
_SUB_ATTRIBUTE = re.compile(r"\.([A-Za-z$][\w$-]*)", re.ASCII)
_REMEMBERED = 200
"""Characters of a path that is remembered."""
_OPERATORS = {"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_filter(text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH) -> Filter:
    """The tree of a filter. Raises 400 invalidFilter that says where and what was expected."""
    parser = _Parser(text, INVALID_FILTER, "filter", max_length, max_depth)
    tree = parser.disjunction(0)
    parser.end()
    return tree


def parse_path(text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH) -> Path:
    """The parts of a PATCH path. Raises 400 invalidPath that says where and what was expected."""
    parse = _remembered if len(text) <= _REMEMBERED else _path
    return parse(text, max_length, max_depth)


def _path(text: str, max_length: int, max_depth: int) -> Path:
    parser = _Parser(text, INVALID_PATH, "path", max_length, max_depth)
    attribute = parser.attribute()
    inner, sub = None, None
    if parser.take("["):
        inner = parser.disjunction(1)
        parser.expect("]")
        sub = parser.sub_attribute()
    parser.end()
    return Path(attribute, inner, sub)


_remembered = lru_cache(maxsize=512)(_path)
"""A client's mappings send the same paths again and again; a path is a value that nobody changes."""


class _Parser:
    """Recursive descent over the tokens; `max_depth` bounds the recursion."""

    def __init__(self, text: str, kind: ErrorKind, what: str, max_length: int, max_depth: int) -> None:
        self._kind, self._what, self._max_depth = kind, what, max_depth
        if len(text) > max_length:
            raise self._error(f"it has {len(text)} characters; at most {max_length} are read")
        if "\x00" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
            raise self._error("it contains U+0000 or half a surrogate pair")
        self._tokens = self._split(text)
        self._next = 0

    def _split(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:  # only an opening quote without a closing one matches nothing
                opening = text.index('"', position) + 1
                raise self._error(f"the string at character {opening} has no closing quote")
            assert match.lastgroup is not None
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup) + 1))
            position = match.end()
        return tokens

    def disjunction(self, depth: int) -> Filter:
        terms = [self._conjunction(depth)]
        while self._word("or"):
            terms.append(self._conjunction(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _conjunction(self, depth: int) -> Filter:
        terms = [self._term(depth)]
        while self._word("and"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _term(self, depth: int) -> Filter:
        if depth > self._max_depth:
            raise self._error(f"it is nested deeper than {self._max_depth} levels")
        if self.take("("):
            return self._closed(depth)
        if self._follows("not", "("):
            self._next += 2
            return Not(self._closed(depth))
        path = self.attribute()
        if self.take("["):
            inner = self.disjunction(depth + 1)
            self.expect("]")
            sub = self.sub_attribute()
            if sub is not None:
                inner = And((inner, self._comparison(sub)))
            return ValuePath(path, inner)
        return self._comparison(path)

    def _closed(self, depth: int) -> Filter:
        tree = self.disjunction(depth + 1)
        self.expect(")")
        return tree

    def _comparison(self, path: str) -> Filter:
        token = self._advance("an operator")
        operator = token.text.lower()
        if operator == "pr":
            return Present(path)
        if operator not in _OPERATORS:
            raise self._expected("one of eq ne co sw ew gt ge lt le pr", token)
        token = self._advance("a value")
        if token.kind == "mark":
            raise self._expected("a value", token)
        return Compare(path, operator, self._literal(token))

    def _literal(self, token: _Token) -> Literal:
        if token.kind == "word":
            return Literal(token.text, quoted=False)
        try:
            text = json.loads(token.text, strict=False)
        except ValueError:
            text = token.text[1:-1].replace('\\"', '"')
        if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
            raise self._error(f"the string at character {token.position} contains U+0000 or half a surrogate pair")
        return Literal(text)

    def attribute(self) -> str:
        token = self._advance("an attribute name")
        if token.kind != "word" or not _ATTRIBUTE.fullmatch(token.text):
            raise self._expected("an attribute name", token)
        return token.text

    def sub_attribute(self) -> str | None:
        """The `.sub` that may follow a closing bracket."""
        if self._next < len(self._tokens) and (match := _SUB_ATTRIBUTE.fullmatch(self._tokens[self._next].text)):
            self._next += 1
            return match[1]
        return None

    def take(self, mark: str) -> bool:
        return self._take("mark", mark)

    def _word(self, word: str) -> bool:
        return self._take("word", word)

    def _take(self, kind: str, text: str) -> bool:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.kind == kind and token.text.lower() == text:
                self._next += 1
                return True
        return False

    def _follows(self, word: str, mark: str) -> bool:
        ahead = self._tokens[self._next : self._next + 2]
        return [t.kind for t in ahead] == ["word", "mark"] and ahead[0].text.lower() == word and ahead[1].text == mark

    def _advance(self, wanted: str) -> _Token:
        if self._next >= len(self._tokens):
            raise self._error(f"it ends where {wanted} is expected")
        self._next += 1
        return self._tokens[self._next - 1]

    def expect(self, mark: str) -> None:
        token = self._advance(f"{mark!r}")
        if token.kind != "mark" or token.text != mark:
            raise self._expected(f"{mark!r}", token)

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._expected(
                "and, or or the end" if self._what == "filter" else "the end", self._tokens[self._next]
            )

    def _expected(self, wanted: str, token: _Token) -> ScimError:
        shown = token.text if len(token.text) <= 40 else token.text[:40] + "…"
        return self._error(f"{wanted} is expected at character {token.position}, not {shown}")

    def _error(self, reason: str) -> ScimError:
        return ScimError(self._kind, f"The {self._what} cannot be read: {reason}.")
