"""`python -m dev.chaos.app PORT`: the app in a process that can be killed, with the settings of the environment.

Serves function_app as `make run` does and says "serving" when it does. `python -m dev.chaos.app housekeep` runs
housekeeping once instead, for all that is pending, and ends: nobody else may be at work then.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import function_app
from dev.host import Host, serve


async def main(argument: str) -> None:
    """Serve for ever, or keep house once."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if argument == "housekeep":
        try:
            await function_app.application.housekeep(everything=True)
        finally:
            await function_app.application.close()
        return
    await serve(Host(function_app.app), int(argument))
    print("serving", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
