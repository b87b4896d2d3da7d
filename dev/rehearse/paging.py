"""Reading a whole collection page by page, as account discovery does."""

from __future__ import annotations

from dataclasses import dataclass, field

from dev.rehearse import expect
from dev.rehearse.client import Answer, Client
from dev.rehearse.expect import Refused, Resource
from dev.rehearse.explain import wrong


@dataclass
class Listing:
    """What the pages held. `doubled` are ids that came twice, `totals` what the pages said the total is."""

    resources: dict[str, Resource] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    oversized: int = 0
    """Pages with more resources than were asked for."""
    last: Answer | None = None


async def read_all(client: Client, path: str, count: int, operation: str = "list") -> Listing:
    """Read all pages. Refused where a page cannot be read; a target that goes round in circles is left after a page."""
    listing, start = Listing(), 1
    while True:
        answer = await client.send(operation, "GET", f"{path}?startIndex={start}&count={count}")
        page = expect.found(f"List {path}, page by page", answer) if start == 1 else _page(path, answer)
        total = int(answer.object["totalResults"])
        listing.totals.append(total)
        listing.oversized += len(page) > count
        listing.last = answer
        fresh = 0
        for each in page:
            id = str(each.get("id"))
            if id in listing.resources:
                listing.doubled.append(id)
            else:
                fresh += 1
            listing.resources[id] = each
        start += len(page)
        if not fresh or start > total:
            return listing


def _page(path: str, answer: Answer) -> list[Resource]:
    """A page after the first, which may be empty where the total was too large."""
    expect.status(f"List {path}, page by page", answer, 200)
    if not isinstance(answer.object.get("totalResults"), int):
        expect.found(f"List {path}, page by page", answer)
    return answer.resources


def verify(path: str, listing: Listing) -> list[Refused]:
    """What is wrong with the pages themselves."""
    found = []
    total = len(listing.resources)
    if listing.doubled:
        found.append(_problem(path, "PagesOverlap", "a resource comes on two pages", listing))
    if set(listing.totals) != {total}:
        said = ", ".join(map(str, sorted(set(listing.totals))))
        what = f"totalResults is not the number of resources on all pages ({said} instead of {total})"
        found.append(_problem(path, "WrongTotal", what, listing))
    if listing.oversized:
        found.append(_problem(path, "CountIgnored", "a page has more resources than count asks for", listing))
    return found


def _problem(path: str, code: str, what: str, listing: Listing) -> Refused:
    return Refused(
        wrong(
            code,
            f"Paging through {path}: {what}",
            "Account discovery reports accounts twice or misses some; whoever is missed is not governed.",
            "Page in a stable order, such as that of ids; count all that match, on every page alike.",
            listing.last,
        )
    )
