"""Charts and CSV: shapes that add up, and cells that no spreadsheet calculates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from scim.console.charts import chart_days, chart_hours, round_up
from scim.console.csvs import defuse, write_csv

NOW = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)


def test_a_bar_is_as_high_as_its_number() -> None:
    minute = int(NOW.timestamp() // 60)
    minutes = {minute - 60 * 48: {"writes": 9}, minute - 60: {"writes": 6, "failedWrites": 2}, minute: {"refused": 4}}
    chart = chart_hours([minutes, {minute: {"writes": 4}}], NOW)
    assert [bar.bin[1:] for bar in chart.bars[-2:]] == [(4, 2), (4, 4)]
    assert (chart.done, chart.failed, len(chart.bars)) == (8, 6, 24)
    assert chart.values[-1].text == "8"
    last = chart.bars[-1]
    assert last.failed_y == pytest.approx(chart.top)
    assert last.done_height == pytest.approx((chart.floor - chart.top) / 2)
    assert all(chart.left <= bar.x and bar.x + bar.width <= chart.right for bar in chart.bars)
    assert chart_days([minutes], NOW).done == 13
    assert chart_days([], NOW).is_empty


def test_one_failure_among_thousands_is_seen() -> None:
    minute = int(NOW.timestamp() // 60)
    chart = chart_hours([{minute: {"writes": 9000, "failedWrites": 1}}], NOW)
    assert chart.bars[-1].failed_height >= 2


@pytest.mark.parametrize(("number", "end"), [(0, 1), (3, 3), (5, 8), (9, 20), (21, 40), (100, 200), (80001, 200_000)])
def test_an_axis_ends_above_its_values_in_whole_steps(number: int, end: int) -> None:
    assert round_up(number) == end


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1", "\uff1d1", "-"])
def test_a_formula_becomes_text(text: str) -> None:
    assert defuse(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "adele@contoso.example", "-12.5", "3", "a=b", "Müller"])
def test_other_text_stays(text: str) -> None:
    assert defuse(text) == text


def test_csv_is_quoted_and_marked() -> None:
    assert write_csv(["who", "what"], [['a"b', "=1"], [None, 2]]) == (b'\xef\xbb\xbfwho,what\r\n"a""b",\'=1\r\n,2\r\n')
