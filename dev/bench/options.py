"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`quick` leaves out what takes long and repeats less; `tiny` only shows that everything runs. `minutes` is how
    long a load lasts; `profiles` adds a profile to a figure that misses its target."""

    quick: bool = False
    tiny: bool = False
    minutes: float = 5.0
    profiles: bool = True
