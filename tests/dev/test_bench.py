"""The bench runs in a tiny form and gives figures; nothing here says how fast anything is."""

from __future__ import annotations

import asyncio
import importlib
import json
import math
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import pytest

from dev.bench import __main__ as command
from dev.bench import http, report, wire
from dev.bench.app import TABLE, azurite, clients
from dev.bench.figures import Figure, Result, Table, compare, final_table, least, most, percentile
from dev.bench.floors import Change, SdkTable
from dev.bench.floors import Table as FloorTable
from dev.bench.measure import in_turns, timed
from dev.bench.options import Options
from scim.store.table.azure import AzureTable

TINY = Options(quick=True, tiny=True, profiles=False)


LONG = ("http", "peer", "memory")
"""The parts that take longest, and do nothing that depends on the version of Python."""


@pytest.mark.parametrize(
    "part",
    [pytest.param(part, marks=[pytest.mark.long] * (part in LONG)) for part in (*command.PARTS, *command.ALONE)],
)
async def test_part_gives_figures(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(command.__file__).parents[2])
    result: Result = await importlib.import_module(f"dev.bench.{part}").run(TINY)
    assert result.figures
    assert {figure.part for figure in result.figures} == {part}
    for figure in result.figures:
        assert math.isfinite(figure.ours) and figure.ours >= 0, figure
        assert figure.ratio is None or math.isfinite(figure.ratio), figure
        assert (figure.target is None) or (figure.ratio is not None), figure
    names = [(figure.name, figure.against, figure.unit) for figure in result.figures]
    assert len(names) == len(set(names))
    assert len(final_table(result.figures).splitlines()) == len(names) + 2
    if part == "trips":  # the one part that does not depend on the machine
        assert [figure for figure in result.figures if not figure.met] == []
    assert all(str(table).count("\n") == len(table.rows) + 1 for table in result.tables)


# The floors of http do what a request does.


async def test_floors_write_what_we_write() -> None:
    """After the same operations each side's partition has the same number of rows of each kind."""
    with azurite() as server:
        origin = AzureTable.with_key(server.connection_string, TABLE)
        async with clients(server.connection_string, ["ours"]) as made:
            copy = await http.fill(made["ours"], 200)
            opened, floors = await http.open_floors(origin, server.connection_string, copy)
            try:
                for operation in http.OPERATIONS:
                    asks = [operation.ours(made["ours"], copy)]
                    asks += [getattr(floor, operation.floor) for floor in floors.values()]
                    for ask in asks:
                        for number in range(3):
                            await ask(number)
            finally:
                await asyncio.gather(*(table.close() for table in opened))
            kinds = {}
            for partition in ("ours", *floors):
                keys = [row.key async for page in origin.pages(partition, " ", "~") for row in page]
                letters = (key[0] for key in keys)
                kinds[partition] = Counter("w" if letter == "e" else letter for letter in letters)  # as floors tell it
        await origin.close()
    for found in kinds.values():  # a page leaves a bookmark unless ids that are made by chance have it be the last
        assert found.pop("b") in (1, 2)
    assert kinds["SDK"] == kinds["wire"] == kinds["ours"]
    assert kinds["ours"] >= Counter({"r": 204, "x": 204, "l": 609, "m": 203, "g": 203, "o": 1, "w": 3})


CHANGES = [
    Change("insert", {"PartitionKey": "p", "RowKey": "a b", "id": "Zoë's"}),
    Change("upsert", {"PartitionKey": "p", "RowKey": "c", "id": "1"}),
]


async def asked(table: FloorTable) -> list[object]:
    """What a table answers after the same changes."""
    await table.write(CHANGES)
    _, etag = await table.get("p", "c")
    await table.write([Change("replace", {"PartitionKey": "p", "RowKey": "c", "id": "2"}, etag)])
    await table.write([Change("merge", {"PartitionKey": "p", "RowKey": "a b", "more": True})])
    found = [
        (await table.get("p", "a b"))[0],
        *await table.query("p", "a", "z", 1),
        *await table.query("p", "b", "z", 9),
    ]
    return [{name: row.get(name) for name in ("RowKey", "id", "more")} for row in found]


async def test_both_floors_find_the_same() -> None:
    answers = []
    for kind in (SdkTable, wire.WireTable):
        with azurite() as server:
            table = kind(server.connection_string, TABLE)
            answers.append(await asked(table))
            await table.close()
    assert answers[0] == answers[1]
    assert [row["RowKey"] for row in answers[0]] == ["a b", "a b", "c"]  # type: ignore[index]


async def test_refused_change_is_no_measurement() -> None:
    with azurite() as server:
        table = wire.WireTable(server.connection_string, TABLE)
        await table.write(CHANGES)
        for changes in (CHANGES, CHANGES[:1]):
            with pytest.raises(wire.WireError):
                await table.write(changes)
        await table.close()


# How it is measured and told.


async def test_sides_take_turns_and_numbers_are_used_once() -> None:
    asked: list[tuple[str, int]] = []

    def side(name: str):  # type: ignore[no-untyped-def]
        def ask(number: int) -> Awaitable[None]:
            asked.append((name, number))
            return asyncio.sleep(0)

        return ask

    bursts = await in_turns({"a": side("a"), "b": side("b")}, turns=2, number=3, at_once=2, first=10)
    assert {name: [len(took.latencies) for took in of] for name, of in bursts.items()} == {"a": [3, 3], "b": [3, 3]}
    assert sorted(number for name, number in asked if name == "a") == list(range(10, 19))
    assert [name for name, _ in asked[::3]] == ["a", "b", "b", "a", "a", "b"]


def test_time_of_one_call_is_taken_over_many() -> None:
    calls: list[None] = []
    each = timed(lambda: calls.append(None), least_seconds=0.001)
    assert 0 < each < 1
    assert len(calls) > 1


def test_percentiles() -> None:
    assert [percentile([4, 1, 3, 2], part) for part in (0, 0.5, 1)] == [1, 2.5, 4]
    assert percentile([7], 0.95) == 7
    with pytest.raises(ValueError):
        percentile([], 0.5)


def test_ratio_is_that_of_a_turn() -> None:
    """A machine that is slower in one turn is so for both sides."""
    figure = compare("p", "n", [1, 20, 3], [2, 40, 3], unit="ms", against="floor", target=most(1))
    assert (figure.ratio, figure.spread, figure.met) == (0.5, (0.5, 1.0), True)
    assert (figure.ours, figure.floor) == (3, 3)


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [(most(1), 1.004, True), (most(1), 1.006, False), (least(10), 9.996, True), (least(10), 9.9, False)],
)
def test_target(target, ratio: float, met: bool) -> None:  # type: ignore[no-untyped-def]
    assert target.met(ratio) is met


def result(part: str, ratio: float) -> Result:
    figure = Figure(part, "a request", 2.0, "ms", 1.0, "floor", ratio, most(1), (ratio, ratio + 1))
    return Result([figure], "two turns", (Table(f"Details of {part}", ("a",), (["1"],)),), ((f"{part}: why", "lines"),))


def test_results_of_parts_are_kept_until_measured_again(tmp_path: Path) -> None:
    kept, page = tmp_path / "bench" / "results.json", tmp_path / "page.md"
    report.keep({"http": result("http", 2), "core": result("core", 2)}, TINY, note="Busy.", path=kept)
    report.keep({"core": result("core", 1)}, TINY, path=kept)
    assert {part: held["figures"][0]["met"] for part, held in json.loads(kept.read_text()).items()} == {
        "http": False,
        "core": True,
    }
    report.write_page(kept, page)
    text = page.read_text()
    assert "1 of 2 targets are met." in text
    assert "2.00 (2.00 to 3.00)" in text and "**no**" in text
    assert "python -m dev.bench http --quick" in text and "Busy." in text
    assert "## Details of core" in text and "### http: why" in text


def test_command_names_a_part_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["trip"])
    assert ended.value.code == 2
    assert "trip is no part; the parts are trips, http" in capsys.readouterr().err
