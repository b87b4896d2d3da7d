"""The decision whether some serial order explains what is there: scripted histories, and a trial of all orders."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from random import Random

import pytest

from dev.chaos.order import State, Step, Writes, decide

INF = math.inf
MANY = frozenset(f"m{n}" for n in range(200))
EMPTY = State({"name": "old"})


def put(name: str, *items: str, start: float, end: float = INF) -> Step:
    return Step(f"PUT {name}", Writes({"name": name}, whole=frozenset(items)), start, end)


def add(*items: str, start: float, end: float = INF) -> Step:
    return Step(f"+{len(items)}", Writes(add=frozenset(items)), start, end)


def remove(*items: str, start: float, end: float = INF) -> Step:
    return Step(f"-{len(items)}", Writes(remove=frozenset(items)), start, end)


def replace(*items: str, start: float, end: float = INF) -> Step:
    return Step(f"={len(items)}", Writes(whole=frozenset(items)), start, end)


def rename(name: str, start: float, end: float = INF) -> Step:
    return Step(f"rename {name}", Writes({"name": name}), start, end)


def state(name: str, *items: str) -> State:
    return State({"name": name}, frozenset(items))


LEGAL = {
    "nothing happened": ([], EMPTY),
    "one change": ([add("a", start=0, end=1)], state("old", "a")),
    "an unknown change happened": ([add("a", start=0)], state("old", "a")),
    "an unknown change did not happen": ([add("a", start=0)], EMPTY),
    "an unknown change happened late": (
        [add("a", start=0), remove("a", start=1, end=2)],
        state("old", "a"),
    ),
    "two at once, the one first": (
        [put("x", "a", start=0, end=3), put("y", "b", start=1, end=2)],
        state("y", "b"),
    ),
    "two at once, the other first": (
        [put("x", "a", start=0, end=3), put("y", "b", start=1, end=2)],
        state("x", "a"),
    ),
    "an addition in the middle of a PUT, before it": (
        [put("x", "a", start=0, end=3), add("b", start=1, end=2)],
        state("x", "a"),
    ),
    "an addition in the middle of a PUT, after it": (
        [put("x", "a", start=0, end=3), add("b", start=1, end=2)],
        state("x", "a", "b"),
    ),
    "an unknown PUT, then a replacement of the members alone": (
        [put("x", *MANY, start=0), replace("b", start=1, end=2)],
        state("x", "b"),
    ),
    "a PUT that happened after what began later": (
        [put("x", "a", start=0), put("y", "b", start=1, end=2), add("c", start=3, end=4)],
        state("x", "a"),
    ),
    "a long change that is whole": ([add(*MANY, start=0, end=9)], state("old", *MANY)),
    "a long change that was superseded": (
        [add(*MANY, start=0, end=9), put("x", "b", start=1, end=2)],
        state("x", "b"),
    ),
    "a rename from before a PUT, and members from after it": (
        [put("x", "a", start=0, end=1), rename("z", 2, 3), add("b", start=2, end=3)],
        state("z", "a", "b"),
    ),
    # The last acknowledged one rules out an unknown one; the other must be taken first.
    "the unknown one explains what the last one leaves open": (
        [rename("x", 0, 1), add("u", start=0.5), replace(start=2, end=3), add("v", start=2.5)],
        state("x", "v"),
    ),
}

ILLEGAL = {
    "a PUT mixed with an older change": (
        [add(*MANY, start=0, end=9), put("x", "b", start=1, end=2)],
        state("x", "b", *sorted(MANY)[:150]),
        "mixture",
    ),
    "a PUT mixed with an older change that was never acknowledged": (
        [add(*MANY, start=0), put("x", "b", start=1, end=2)],
        state("x", "b", *sorted(MANY)[:150]),
        "mixture",
    ),
    "a PUT undone by an older one": (
        [put("x", "a", start=0, end=1), put("y", "b", start=2, end=3)],
        state("x", "a"),
        "mixture",
    ),
    "two PUTs mixed": (
        [put("x", "a", start=0, end=3), put("y", "b", start=1, end=2)],
        state("x", "b"),
        "mixture",
    ),
    "an addition lost": ([add("a", start=0, end=1)], EMPTY, "acknowledged change lost"),
    "an addition lost that began after the PUT": (
        [put("x", "b", start=0, end=1), add("a", start=2, end=3)],
        state("x", "b"),
        "acknowledged change lost",
    ),
    "a removal undone": (
        [add("a", start=0, end=1), remove("a", start=2, end=3)],
        state("old", "a"),
        "acknowledged change lost",
    ),
    "a long change half there": (
        [add(*MANY, start=0, end=1)],
        state("old", *sorted(MANY)[:98]),
        "half an acknowledged change",
    ),
    "an unacknowledged change half there": (
        [add(*MANY, start=0)],
        state("old", *sorted(MANY)[:98]),
        "half an unacknowledged change",
    ),
    "a rename lost": ([rename("x", 0, 1)], EMPTY, "acknowledged change lost"),
    "a name that nobody wrote": ([add("a", start=0)], state("other"), "value that nobody wrote"),
    "a member that nobody wrote": ([], state("old", "a"), "acknowledged change lost"),
    "an unknown PUT half there": ([put("x", "a", "b", start=0)], state("x"), "half an unacknowledged change"),
}


@pytest.mark.parametrize(("steps", "seen"), LEGAL.values(), ids=LEGAL)
def test_what_an_order_explains(steps: list[Step], seen: State) -> None:
    assert decide(EMPTY, steps, seen) is None


@pytest.mark.parametrize(("steps", "seen", "kind"), ILLEGAL.values(), ids=ILLEGAL)
def test_what_no_order_explains(steps: list[Step], seen: State, kind: str) -> None:
    found = decide(EMPTY, steps, seen)
    assert found is not None
    assert found.kind == kind, found.text


def test_all_members_of_a_new_group_lost() -> None:
    """A group was made with 160 members, one more was acknowledged, and none is there."""
    made = State({"name": "old"}, frozenset(sorted(MANY)[:160]))
    found = decide(made, [add("x", start=0, end=1)], EMPTY)
    assert found is not None
    assert found.kind == "acknowledged change lost"


def applied(state: State, writes: Writes) -> State:
    items = state.items if writes.whole is None else writes.whole
    return State({**state.values, **writes.values}, (items | writes.add) - writes.remove)


def orders(steps: Sequence[Step]) -> Iterator[tuple[Step, ...]]:
    """All allowed orders, with all choices among the unknown ones."""
    known = [step for step in steps if step.acknowledged]
    unknown = [step for step in steps if not step.acknowledged]
    for number in range(len(unknown) + 1):
        for chosen in combinations(unknown, number):
            for order in permutations([*known, *chosen]):
                if not any(b.end < a.start for at, a in enumerate(order) for b in order[at + 1 :]):
                    yield order


def random_step(dice: Random) -> Step:
    some = frozenset(dice.sample("abc", dice.randint(1, 2)))
    writes = dice.choice(
        [
            Writes({"x": dice.randint(1, 2), "y": dice.randint(1, 2)}, whole=some),
            Writes({"x": dice.randint(1, 2)}),
            Writes({"y": dice.randint(1, 2)}, add=some),
            Writes(whole=some - {"a"}),
            Writes(add=some),
            Writes(remove=some),
            Writes(add=some, remove=frozenset("abc") - some),
        ]
    )
    start = dice.randint(0, 8)
    return Step("?", writes, start, INF if dice.random() < 0.4 else start + dice.choice([0.5, 1.5, 3.5]))


def test_the_same_as_a_trial_of_all_orders() -> None:
    dice, wrong = Random(7), 0
    first = State({"x": 0, "y": 0})
    for _ in range(1500):
        steps = [random_step(dice) for _ in range(dice.randint(1, 5))]
        ends = set()
        for order in orders(steps):
            end = first
            for step in order:
                end = applied(end, step.writes)
            ends.add((end.values["x"], end.values["y"], end.items))
        for x, y in [(dice.randint(0, 2), dice.randint(0, 2)) for _ in range(4)]:
            items = frozenset(dice.sample("abc", dice.randint(0, 3)))
            possible = (x, y, items) in ends
            assert (decide(first, steps, State({"x": x, "y": y}, items)) is None) == possible, steps
            wrong += not possible
        for x, y, items in ends:
            assert decide(first, steps, State({"x": x, "y": y}, items)) is None, steps
    assert wrong > 1000
