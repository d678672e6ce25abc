"""Loading pyogrio without pandas and geopandas, whose imports take longer than a short run."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from importlib import metadata
from types import ModuleType
from typing import Any

_lock = threading.Lock()
_SLOW = ("pandas", "geopandas")


def light_pyogrio() -> Any:
    """Return pyogrio; its functions on tables load pandas and geopandas when they are called.

    While pyogrio is loaded it imports both of them, but asks for nothing except their versions.
    Here it finds modules that have nothing else.
    """
    with _lock:
        if "pyogrio" not in sys.modules:
            names = [name for name in _SLOW if name not in sys.modules]
            for name in names:
                with contextlib.suppress(metadata.PackageNotFoundError):
                    stand_in = ModuleType(name)
                    stand_in.__dict__["__version__"] = metadata.version(name)
                    sys.modules[name] = stand_in
            try:
                # A version of pyogrio that asks for more is loaded below, with all of them.
                with contextlib.suppress(AttributeError, ImportError):
                    importlib.import_module("pyogrio.raw")
            finally:
                for name in names:
                    sys.modules.pop(name, None)
        return importlib.import_module("pyogrio")
