"""A gate that clients pass with each step: when it is closed, they come to rest."""

from __future__ import annotations

import asyncio


class Gate:
    """`async with gate` waits until the gate is open. `empty` is set while nobody is inside."""

    def __init__(self) -> None:
        self.empty = asyncio.Event()
        self.empty.set()
        self._open = asyncio.Event()
        self._open.set()
        self._inside = 0

    async def __aenter__(self) -> None:
        await self._open.wait()
        self._inside += 1
        self.empty.clear()

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        if not self._inside:
            self.empty.set()

    def close(self) -> None:
        """Let nobody in any more; those inside finish what they do."""
        self._open.clear()

    def open(self) -> None:
        self._open.set()
