"""The targets of `python -m dev.fuzz`, for a few seconds: whatever a client writes, only a ScimError comes out, and
what is taken is canonical for good."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dev.fuzz import targets
from dev.fuzz.__main__ import fuzz
from dev.fuzz.targets import SEEDS, TARGETS
from scim.filter.tree import Filter, Not, Present
from tests import core  # noqa: F401  its profile of hypothesis

pytestmark = pytest.mark.long

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
RUNS = 4000
WORDS = st.lists(st.sampled_from([*targets.words(), "(", ")", "[", "]", '"', "\\", ".", ":", ",", "{", "}", " ", "é"]))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_any_text_are_taken(target: str) -> None:
    @settings(max_examples=EXAMPLES, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None)
    @given(st.binary(max_size=80) | st.text().map(str.encode) | WORDS.map(lambda words: " ".join(words).encode()))
    @example(b"")
    def take(data: bytes) -> None:
        TARGETS[target](data)

    for seed in SEEDS[target]:
        TARGETS[target](seed.encode())
    take()


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris has no wheel for this machine")
@pytest.mark.parametrize("target", TARGETS)
def test_atheris_finds_nothing(target: str, tmp_path: Path) -> None:
    assert fuzz(target, 60, tmp_path, f"-runs={RUNS}", "-seed=1", "-verbosity=0") == 0
    assert list(tmp_path.glob(f"{target}-*")) == []
    assert len(list((tmp_path / target).iterdir())) > len(SEEDS[target])


BROKEN = [
    ("filter", "parse_filter", lambda text: 1 / 0, ZeroDivisionError),
    ("filter", "parse_filter", lambda text: _nested(40), AssertionError),
    ("path", "parse_path", lambda text: {}["x"], KeyError),
    ("patch", "apply", lambda document, listed, resource_type: {**document, "title": ""}, AssertionError),
    ("shaped", "parse_operations", lambda body, resource_type, most: [None], AttributeError),
    ("body", "make_canonical", lambda body, resource_type: {"depth": [body]}, AssertionError),
]


@pytest.mark.parametrize(
    ("target", "broken", "by", "told"), BROKEN, ids=[f"{row[0]} {row[3].__name__}" for row in BROKEN]
)
def test_a_fault_is_told(monkeypatch: pytest.MonkeyPatch, target: str, broken: str, by: object, told: type) -> None:
    monkeypatch.setattr(targets, broken, by)
    with pytest.raises(told):
        for seed in SEEDS[target]:
            TARGETS[target](seed.encode())


def _nested(levels: int) -> Filter:
    tree: Filter = Present("userName")
    for _ in range(levels):
        tree = Not(tree)
    return tree
