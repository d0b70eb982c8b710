"""Modules under the name ``snorkel`` that hold the classes and functions of this package.

Python asks the finders on ``sys.meta_path`` for a module; the one here answers for ``snorkel`` and below.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ws_pipeline.compat.snorkel.names import MODULES, VALUES, explain_missing
from ws_pipeline.errors import SnorkelImportError, SnorkelNameError

ROOT = "snorkel"


class SnorkelModule(ModuleType):
    """A module of Snorkel; its names are imported when they are first used."""

    def __getattr__(self, name: str) -> Any:
        path = _below_root(self.__name__)
        value: Any
        if name in MODULES[path]:
            module, _, attribute = MODULES[path][name].partition(":")
            value = getattr(importlib.import_module(module), attribute)
        elif _join(path, name) in MODULES:
            value = importlib.import_module(f"{self.__name__}.{name}")
        elif name.startswith("__"):
            message = f"module '{self.__name__}' has no attribute '{name}'"
            raise AttributeError(message)
        else:
            raise SnorkelNameError(explain_missing(_join(path, name)))
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.__all__})

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_installed, (self.__name__,)


class SnorkelFinder(MetaPathFinder, Loader):
    """Finds and makes the modules."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Answer for modules of Snorkel, those that are not here too.

        Raises
        ------
        SnorkelImportError
            There is no such module, or name in a module: Python asks for those here when ``from ...
            import`` does not find them.
        """
        del path, target
        if not _is_snorkel(fullname):
            return None
        if _below_root(fullname) not in MODULES:
            raise SnorkelImportError(explain_missing(_below_root(fullname)))
        return ModuleSpec(fullname, self, origin="ws_pipeline.compat.snorkel", is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Make a module."""
        return SnorkelModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Fill in what costs nothing."""
        path = _below_root(module.__name__)
        vars(module).update(VALUES.get(path, {}))
        vars(module)["__all__"] = sorted(MODULES[path])


def install() -> None:
    """Let the name ``snorkel`` mean this package, in this process.

    From then on ``import snorkel``, in any module, gives the classes of ``ws_pipeline`` under Snorkel's
    names, whether Snorkel is installed or not.  Calling it again changes nothing.

    Raises
    ------
    SnorkelImportError
        Snorkel itself has been imported already.
    """
    foreign = sorted(
        name
        for name, module in sys.modules.items()
        if _is_snorkel(name) and not isinstance(module, SnorkelModule)
    )
    if foreign:
        place = getattr(sys.modules[foreign[0]], "__file__", None) or "this process"
        message = (
            f"Snorkel itself is already imported ({foreign[0]}, from {place}); call install() before the "
            "first import of it, or of a module that imports it"
        )
        raise SnorkelImportError(message)
    if not any(isinstance(finder, SnorkelFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, SnorkelFinder())
    importlib.import_module(ROOT)


def uninstall() -> None:
    """Undo :func:`install`: the name means again what is installed under it, for imports from now on."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, SnorkelFinder)]
    for name in [name for name, module in sys.modules.items() if isinstance(module, SnorkelModule)]:
        del sys.modules[name]


def _import_installed(name: str) -> ModuleType:
    """Import a module of Snorkel in a process that may not know the name yet."""
    install()
    return importlib.import_module(name)


def _is_snorkel(fullname: str) -> bool:
    return fullname.partition(".")[0] == ROOT


def _below_root(fullname: str) -> str:
    return fullname.partition(".")[2]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
