"""Escrow and quarantine at their thresholds."""

from __future__ import annotations

import pytest

from dev.rehearse.verdict import Tally, judge, quarantine


@pytest.mark.parametrize(
    ("tally", "stopped"),
    [
        (Tally(exports=12_499, failed=5_000), True),  # just above 40 %
        (Tally(exports=12_500, failed=5_000), False),  # 40 % exactly
        (Tally(exports=4_999, failed=4_999), False),  # all of them, but not enough to judge
        (Tally(exports=1_000_000, failed=40_000), False),
        (Tally(exports=1_000_000, failed=40_001), True),
        (Tally(exports=1_000_000, failed=0, references=90_000, failed_references=59_999), False),
        (Tally(exports=1_000_000, failed=1, references=90_000, failed_references=59_999), True),
        (Tally(exports=10, requests=10, unauthorized=5), False),
        (Tally(exports=10, requests=10, unauthorized=6), True),
        (Tally(probe_unauthorized=True), True),
        (Tally(search_not_found=True), True),
        (Tally(), False),
    ],
)
def test_quarantine(tally: Tally, stopped: bool) -> None:
    assert bool(quarantine(tally)) is stopped
    assert ("quarantined" in judge(tally, 1).headline) is stopped


def test_escrow_counts_tries_until_a_success() -> None:
    tally = Tally()
    for _ in range(3):
        tally.fail("k1", "update", "anna", "EntryConflict", reference=False)
    tally.fail("k1", "manager", "anna", "InvalidAnchor", reference=True)
    assert {(each.operation, each.tries) for each in judge(tally, 4).escrow} == {("update", 3), ("manager", 1)}
    tally.succeed("k1", "update")
    tally.succeed("k1", "update")
    assert [each.operation for each in judge(tally, 4).escrow] == ["manager"]
    assert judge(tally, 4).recovered == 1
    assert (tally.failed, tally.failed_references) == (3, 1)


def test_what_is_no_longer_to_be_written_leaves_escrow_without_success() -> None:
    tally = Tally()
    tally.fail("k1", "update", "anna", "EntryConflict", reference=False)
    tally.drop("k1", "update")
    assert judge(tally, 1).escrow == [] and judge(tally, 1).recovered == 0


def test_a_small_rehearsal_says_from_which_size_on_it_would_be_quarantined() -> None:
    lines = " ".join(judge(Tally(exports=10, failed=5), 5).lines)
    assert "10,000 objects" in lines


def test_headlines() -> None:
    assert judge(Tally(exports=1), 0).headline == "Entra would provision this target without trouble."
    skipped = judge(Tally(exports=1), 0, ["filters"])
    assert skipped.headline == "Entra would provision this target without trouble, as far as it was played."
    assert "1 check could not be made here: filters." in skipped.lines
    assert "not everything" in judge(Tally(exports=1), 1).headline
    tally = Tally(exports=1)
    tally.fail("k1", "create", "anna", "EntryConflict", reference=False)
    assert "but 1 change would not arrive" in judge(tally, 1).headline
