"""The examples of RFC 7643 §8 and RFC 7644 §3, sent through the running app: sample files named by their section.

They are conversations like those of `tests/conversations`, and played in the same way.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conversations.test_conversations import play
from tests.support import Client

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))


def test_every_request_section_of_rfc_7644_and_every_resource_of_rfc_7643_has_an_example() -> None:
    sections = {"-".join(sample.stem.split("-")[:2]) for sample in SAMPLES}
    assert sections >= {f"rfc7643-8.{number}" for number in range(1, 5)}
    patches = {f"rfc7644-3.5.2.{number}" for number in range(1, 4)}
    assert sections >= {"rfc7644-3.3", "rfc7644-3.4.2.2", "rfc7644-3.5.1", "rfc7644-3.6", "rfc7644-3.7.3", *patches}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
async def test_example(client: Client, sample: Path) -> None:
    await play(client, sample)
