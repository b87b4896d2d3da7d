"""`python -m dev.bench.quoted`: the README's lines about what requests cost, made from docs/benchmarks.md.

`make bench` does it too, so that both say the same.
"""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path("docs/benchmarks.md")
README = Path("README.md")
HEADING = "## What requests cost\n"

_ROWS = {
    "create a user": ("POST user", "POST user"),
    "read a user, with groups": ("GET user", "GET user"),
    "find a user by userName, with groups": ("match on userName, hit", "userName eq"),
    "change a user, with groups": ("PATCH user", "PATCH user"),
    "add a member to a group of any size": ("add 1 member", "add one member"),
    "list 100 users from the middle of a tenant": ("page of 100 behind it", "list, 100 from the middle"),
}
"""What the README calls it, its figure of the part trips, and its figure of the part http."""
_GROWN = ("GET user", "userName eq, hit", "POST user", "add 1 member")
"""Figures of the part growth: a read, a search, a new user, a new member."""

Figures = dict[tuple[str, str], list[tuple[str, str]]]
"""By part and figure, each line's ours and floor."""


def read_figures(page: str) -> Figures:
    """Return the table of the benchmarks' page."""
    figures: Figures = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line.startswith("| ") and len(cells) == 7:
            figures.setdefault((cells[0], cells[1]), []).append((cells[2], cells[3]))
    return figures


def quote(page: str) -> str:
    """Return what the README says of the benchmarks' page, below its heading."""
    figures = read_figures(page)
    met, targets = map(int, re.findall(r"^(\d+) of (\d+) targets are met", page, re.MULTILINE)[0])
    rows = "".join(
        f"| {name} | {_count(figures, trips)} | {_time(figures, time)} |\n" for name, (trips, time) in _ROWS.items()
    )
    at = [figures["growth", f"{name} at 1,000,000"][0] for name in _GROWN]
    many, few = (", ".join(line[side].split()[0] for line in at) for side in (0, 1))
    grown = f"{many}; among 1,000: {few}" if many != few else f"{many}, as among 1,000"
    members, bulk = (_count(figures, name) for name in ("add 48 members", "100 new users in a bulk"))
    answer, imports = figures["cold", "import and first answer"][0]
    packages, deployed = " ".join(imports.split()[:2]), figures["package", "deployment package"][0][0]
    return f"""
Requests to the table and time, on two cores with Azurite beside it, 16 requests at a time. The same storage calls made
with the azure-data-tables SDK alone, with no server around them, take the time in brackets.
[docs/benchmarks.md](docs/benchmarks.md) has all figures and how they were taken; {targets - met} of {targets} targets
are missed. `make bench` makes it, and these lines.

| request | requests to the table | time |
| --- | --- | --- |
{rows}
* Requests to the table and rows of it among 1,000,000 users, for a read, a search by userName, a new user and a new
  member: {grown}.
* Requests to the table for 48 new members of a group of any size: {members}; for 100 new users in one request: {bulk}.
* The first answer of a fresh process takes {answer}; importing the packages that it needs, {packages}.
* What is deployed is {deployed}.

"""


def fill(readme: str, page: str) -> str:
    """Return the README with these lines made anew."""
    before, _, rest = readme.partition(HEADING)
    return before + HEADING + quote(page) + rest[rest.index("## ") :]


def write() -> None:
    """Write the README from the page."""
    filled = fill(README.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8"))
    README.write_text(filled, encoding="utf-8")


def _count(figures: Figures, name: str) -> str:
    return figures["trips", name][0][0].split()[0]


def _time(figures: Figures, name: str) -> str:
    """Return a time of ours, and in brackets the bare SDK's."""
    lines = figures["http", f"{name}, 16 at a time"]
    ours, floor = next(line for line in lines if line[1].endswith(" bare SDK"))
    return f"{ours} ({floor.removesuffix(' bare SDK')})"


if __name__ == "__main__":
    write()
