"""The parser of filters and paths.

It reads the grammar of RFC 7644 §3.4.2.2 and §3.5.2 and the two forms in which Entra leaves it: unquoted values
(`externalId eq jyoung`) and a comparison behind a value path (`emails[type eq "work"].value eq "x"`, read as
`emails[type eq "work" and value eq "x"]`). Names and operators come in any case. Microsoft's library does not escape
backslashes, so one that begins no JSON escape is a backslash.

Unless `strict`, values may also stand in other quotes than JSON's (single, curly, backticks), as scripts and word
processors write them; and a string whose escapes give control characters, which no name has, is read both ways: with
them, and with the backslashes as they stand (Microsoft's `CONTOSO` backslash `bob`). So is one in which a backslash
stands before a single quote, as other languages escape it.
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

_SINGLE, _DOUBLE, _TICKS = "\u2018\u2019\u201a", "\u201c\u201d\u201e", "`\u00b4"
_QUOTES = {
    "'": "'",
    **dict.fromkeys(_SINGLE, _SINGLE),
    **dict.fromkeys(_DOUBLE, _DOUBLE),
    **dict.fromkeys(_TICKS, _TICKS + "'"),
}
"""Quotes that are not JSON's, with what may close them."""
_ENDS_VALUE = re.compile(r"[\s)\]]|$")
_KEPT_ESCAPES = re.compile(r'(?:\\u[0-9a-fA-F]{4})+|\\["\\/]')
"""The escapes that hold when those of control characters are read as they stand."""
_CONTROL = re.compile(r"[\x00-\x1f]")
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"', re.DOTALL)

_TOKEN = re.compile(r'\s*(?:(?P<mark>[()\[\]])|(?P<string>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+))', re.DOTALL)
_NAME = r"[A-Za-z$][\w$-]*"
_ATTRIBUTE = re.compile(rf"urn:[^\s]+:{_NAME}(?:\.{_NAME}){{0,2}}|{_NAME}(?:\.{_NAME})?", re.IGNORECASE | re.ASCII)
"""A name, perhaps of a sub-attribute, perhaps behind a URN, which a dot may end where a colon should."""
_SUB_ATTRIBUTE = re.compile(r"\.([A-Za-z$][\w$-]*)", re.ASCII)
_OPERATORS = {"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"}
_LIKE = {
    "filter": 'write it like userName eq "ada@example.com"',
    "path": 'write it like name.givenName or emails[type eq "work"].value',
}
"""The remedy if nothing more exact can be said."""
_UNCLOSED = 'close it, and write \\" for a quote in it'
_CHARACTERS = "take these characters out"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


def parse_filter(
    text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH, strict: bool = False
) -> Filter:
    """Return the tree of a filter. Raises 400 invalidFilter that says if and what was expected."""
    parser = _Parser(text, INVALID_FILTER, "filter", max_length, max_depth, strict)
    tree = parser.read_disjunction(0)
    parser.end()
    return tree


@lru_cache(maxsize=512)
def parse_path(text: str, *, max_length: int = MAX_LENGTH, max_depth: int = MAX_DEPTH, strict: bool = False) -> Path:
    """Return the parts of a PATCH path. Raises 400 invalidPath that says if and what was expected. Clients send the
    same paths again and again, so they are kept."""
    parser = _Parser(text, INVALID_PATH, "path", max_length, max_depth, strict)
    attribute = parser.read_attribute()
    inner, sub = None, None
    if parser.take("["):
        inner = parser.read_disjunction(1)
        parser.expect("]")
        sub = parser.read_sub_attribute()
    parser.end()
    return Path(attribute, inner, sub)


class _Parser:
    """Recursive descent over the tokens; `max_depth` bounds the recursion."""

    def __init__(self, text: str, kind: ErrorKind, what: str, max_length: int, max_depth: int, strict: bool) -> None:
        self._kind, self._what, self._max_depth, self._strict = kind, what, max_depth, strict
        if len(text) > max_length:
            raise self._make_error(f"it has {len(text)} characters; at most {max_length} are read", "name less in one")
        if "\x00" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
            raise self._make_error("it contains U+0000 or half a surrogate pair", _CHARACTERS)
        self._tokens = self._split(text)
        self._next = 0

    def _split(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        unclosed: set[str] = set()  # quotes that nothing closes any more
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if match is None:  # only an opening quote without a closing one matches nothing
                opening = text.index('"', position) + 1
                raise self._make_error(f"the string at character {opening} has no closing quote", _UNCLOSED)
            assert match.lastgroup is not None
            kind, start, position = match.lastgroup, match.start(match.lastgroup), match.end()
            word = match[kind]
            if kind == "word" and word[0] in _QUOTES and word[0] not in unclosed:
                close = self._find_closing(text, start, end)
                if close is None:
                    unclosed.add(word[0])
                else:
                    kind, word, position = "quoted", text[start + 1 : close], close + 1
            tokens.append(_Token(kind, word, start + 1))
        return tokens

    @staticmethod
    def _find_closing(text: str, start: int, end: int) -> int | None:
        """Return where the value that begins with a quote at `start` ends with one; None if it does not."""
        closing = _QUOTES[text[start]]
        for at in range(start + 1, end):
            if text[at] in closing and _ENDS_VALUE.match(text, at + 1):
                return at
        return None

    def read_disjunction(self, depth: int) -> Filter:
        terms = [self._read_conjunction(depth)]
        while self._take_word("or"):
            terms.append(self._read_conjunction(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _read_conjunction(self, depth: int) -> Filter:
        terms = [self._read_term(depth)]
        while self._take_word("and"):
            terms.append(self._read_term(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _read_term(self, depth: int) -> Filter:
        if depth > self._max_depth:
            raise self._make_error(f"it is nested deeper than {self._max_depth} levels", "take brackets out")
        if self.take("("):
            return self._read_closed(depth)
        if self._follows("not", "("):
            self._next += 2
            return Not(self._read_closed(depth))
        path = self.read_attribute()
        if self.take("["):
            inner = self.read_disjunction(depth + 1)
            self.expect("]")
            sub = self.read_sub_attribute()
            if sub is not None:
                inner = And((inner, self._read_comparison(sub)))
            return ValuePath(path, inner)
        return self._read_comparison(path)

    def _read_closed(self, depth: int) -> Filter:
        tree = self.read_disjunction(depth + 1)
        self.expect(")")
        return tree

    def _read_comparison(self, path: str) -> Filter:
        token = self._advance("an operator")
        operator = token.text.lower()
        if operator == "pr":
            return Present(path)
        if operator not in _OPERATORS:
            remedy = "put what is negated in parentheses: not (…)" if path.lower() == "not" else None
            raise self._make_expected("one of eq ne co sw ew gt ge lt le pr", token, remedy)
        token = self._advance("a value")
        if token.kind == "mark":
            raise self._make_expected("a value", token)
        if token.kind == "word":
            return Compare(path, operator, Literal(token.text, quoted=False))
        if token.kind == "quoted" and self._strict:
            raise self._make_error(
                f"the value at character {token.position} must stand in double quotes", _LIKE[self._what]
            )
        readings = [Compare(path, operator, Literal(text)) for text in self._list_readings(token)]
        if len(readings) == 1:
            return readings[0]
        return And(tuple(readings)) if operator == "ne" else Or(tuple(readings))

    def _list_readings(self, token: _Token) -> list[str]:
        """Return what a string means: mostly one text."""
        inner = token.text[1:-1] if token.kind == "string" else token.text
        string = token.text
        if token.kind == "quoted":
            string = _ESCAPE_OR_QUOTE.sub(lambda found: '\\"' if found[0] == '"' else found[0], inner)
            string = f'"{string}"'
        try:
            texts = [str(json.loads(string, strict=False))]
        except ValueError:
            texts = [inner.replace('\\"', '"')]
        if not self._strict and _CONTROL.search(texts[0]) and not _CONTROL.search(inner):
            texts.append(_KEPT_ESCAPES.sub(lambda escapes: str(json.loads(f'"{escapes[0]}"')), inner))
        if not self._strict and "\\'" in texts[0]:
            texts.append(texts[0].replace("\\'", "'"))
        for text in texts:
            if "\x00" in text or any("\ud800" <= c <= "\udfff" for c in text):
                found = f"the string at character {token.position} contains U+0000 or half a surrogate pair"
                raise self._make_error(found, _CHARACTERS)
        return list(dict.fromkeys(texts))

    def read_attribute(self) -> str:
        token = self._advance("an attribute name")
        if token.kind != "word" or not _ATTRIBUTE.fullmatch(token.text):
            raise self._make_expected("an attribute name", token)
        return token.text

    def read_sub_attribute(self) -> str | None:
        """Return the `.sub` that may follow a closing bracket."""
        if self._next < len(self._tokens) and (match := _SUB_ATTRIBUTE.fullmatch(self._tokens[self._next].text)):
            self._next += 1
            return match[1]
        return None

    def take(self, mark: str) -> bool:
        return self._take("mark", mark)

    def _take_word(self, word: str) -> bool:
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
            raise self._make_error(f"it ends where {wanted} is expected")
        self._next += 1
        return self._tokens[self._next - 1]

    def expect(self, mark: str) -> None:
        token = self._advance(f"{mark!r}")
        if token.kind != "mark" or token.text != mark:
            raise self._make_expected(f"{mark!r}", token)

    def end(self) -> None:
        if self._next < len(self._tokens):
            raise self._make_expected(
                "and, or or the end" if self._what == "filter" else "the end", self._tokens[self._next]
            )

    def _make_expected(self, wanted: str, token: _Token, remedy: str | None = None) -> ScimError:
        shown = token.text if len(token.text) <= 40 else token.text[:40] + "…"
        return self._make_error(f"{wanted} is expected at character {token.position}, not {shown}", remedy)

    def _make_error(self, reason: str, remedy: str | None = None) -> ScimError:
        return ScimError(self._kind, f"The {self._what} cannot be read: {reason}; {remedy or _LIKE[self._what]}.")
