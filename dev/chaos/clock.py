"""Another wall clock for the app's code, and for nobody else: two instances never agree on the time to the second."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from datetime import datetime, timedelta, tzinfo

import scim

_TOOLS = {"__main__", "connections", "operate"}
"""What serves no request, and takes long to load."""


def shift(seconds: float) -> None:
    """Have every module of the app see a clock that is so many seconds ahead.

    Modules hold the name `datetime`, so all of them are loaded and each is given another class under that name. Those
    that read `time.time()` find it replaced in the whole process. Durations are measured with other clocks."""
    true = time.time

    class Shifted(datetime):
        """A datetime whose `now` is wrong."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=seconds)

    for module in pkgutil.walk_packages(scim.__path__, "scim."):
        if module.name.split(".")[1] not in _TOOLS:
            importlib.import_module(module.name)
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] == "scim" and getattr(loaded, "datetime", None) is datetime:
            vars(loaded)["datetime"] = Shifted
    time.time = lambda: true() + seconds
