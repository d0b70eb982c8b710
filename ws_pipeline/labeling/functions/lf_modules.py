"""Labeling functions found in a Python file or module, in the order in which they are defined there."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import inspect
import linecache
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.object_digest import is_installed
from ws_pipeline.settings.base import nearest
from ws_pipeline.storage.file_errors import telling_file_errors

_SUFFIX = ".py"
_loading = threading.Lock()  # of the path that modules are looked for in


class _Loaded(NamedTuple):
    """A module, the names of those of one's own that it imports, with its own name, and the texts of all."""

    module: ModuleType
    names: tuple[str, ...]
    texts: dict[Path, bytes]

    @classmethod
    def of(cls, module: ModuleType) -> Self:
        """Look at a module that was just imported."""
        own = _own_modules(module)
        texts = {Path(str(each.__file__)): _text_of(Path(str(each.__file__))) for each in own}
        for file, text in texts.items():
            # the source text of a function is that which it was made of, also when the file changes
            lines = text.decode(errors="replace").splitlines(keepends=True)
            linecache.cache[str(file)] = len(text), None, lines, str(file)
        return cls(module, tuple(each.__name__ for each in own), texts)


_loaded: dict[str, _Loaded] = {}  # by reference


def load_labeling_functions(reference: str, *, folder: Path | None = None) -> list[LabelingFunction]:
    """Find the labeling functions of a file or module.

    All objects of its top level count that ``@labeling_function()`` or the builders of
    :mod:`ws_pipeline.labeling.functions.builders` made, alone or in lists and dicts; in the order of their
    definition.

    Parameters
    ----------
    reference
        Path of a ``.py`` file, or the dotted name of a module that can be imported.
    folder
        Folder that a relative path starts from.  Default: the working directory.

    Returns
    -------
    list
        At least one labeling function, names unique.  The file or module, and those of one's own that it
        imports, are read again when one of them has changed.

    Raises
    ------
    LabelingFunctionError
        There is no such file or module, importing it fails, two LFs have one name, or there is none.
    """
    if reference.endswith(_SUFFIX):
        module = _module_of_file((folder or Path()) / reference)
    else:
        module = _module_of_name(reference)
    found = list({id(lf): lf for value in vars(module).values() for lf in _lfs_in(value)}.values())
    if not found:
        message = f"{reference}: found no labeling function; {_what_is_there(module)}"
        raise LabelingFunctionError(message)
    names = [lf.name for lf in found]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = f"{reference}: {names.count(repeated[0])} labeling functions are called '{repeated[0]}'"
        raise LabelingFunctionError(f"{message}; give each a name of its own")
    return found


def take_by_name(
    lfs: Sequence[LabelingFunction], names: Sequence[str] | None, *, where: str
) -> list[LabelingFunction]:
    """Those of the labeling functions that are listed, in the order of the list; all if there is no list.

    Raises
    ------
    LabelingFunctionError
        A name is not there; the nearest one is named.
    """
    if names is None:
        return list(lfs)
    known = {lf.name: lf for lf in lfs}
    for name in names:
        if name not in known:
            message = f"{where}: there is no labeling function '{name}', {nearest(name, list(known))}"
            raise LabelingFunctionError(message)
    return [known[name] for name in names]


def _lfs_in(value: Any) -> Iterator[LabelingFunction]:
    if isinstance(value, LabelingFunction):
        yield value
    elif isinstance(value, list | tuple | set | dict):
        items = value.values() if isinstance(value, dict) else value
        yield from (lf for item in items for lf in _lfs_in(item))


def _module_of_name(name: str) -> ModuleType:
    def load() -> _Loaded:
        try:
            return _Loaded.of(importlib.import_module(name))
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
                raise _import_failed(name, missing) from missing
            message = (
                f"{name}: expected a Python file such as lfs.py, or the name of a module, but there is no "
                f"module '{missing.name}'; install its package, or start from the folder that it is in"
            )
            raise LabelingFunctionError(message) from missing
        except (Exception, SystemExit) as error:
            raise _import_failed(name, error) from error

    return _up_to_date(name, load)


def _module_of_file(file: Path) -> ModuleType:
    """The module of a file, which may import modules beside it."""
    file = file.resolve()
    with telling_file_errors(file, "read"):
        file.open("rb").close()
    return _up_to_date(str(file), lambda: _execute(file))


def _up_to_date(reference: str, load: Callable[[], _Loaded]) -> ModuleType:
    """A module as its files are now: loaded again, with its own imports, when one of them has changed."""
    with _loading:
        known = _loaded.get(reference)
        if known is not None and all(_text_of(file) == text for file, text in known.texts.items()):
            return known.module
        for name in known.names if known is not None else ():
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        _loaded[reference] = load()
        return _loaded[reference].module


def _text_of(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def _own_modules(module: ModuleType) -> list[ModuleType]:
    """The module, and those that it imports, and these again; none of them installed."""
    found: dict[str, ModuleType] = {}
    ahead = [module]
    while ahead:
        each = ahead.pop()
        file = getattr(each, "__file__", None) or ""
        in_library = each.__name__.partition(".")[0] == __name__.partition(".")[0]
        if each.__name__ in found or not file.endswith(_SUFFIX) or is_installed(file) or in_library:
            continue
        found[each.__name__] = each
        ahead += _imported_by(each, Path(file))
    return list(found.values())


def _imported_by(module: ModuleType, file: Path) -> list[ModuleType]:
    """Modules that the import statements of a module name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_text_of(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            package = importlib.util.resolve_name(relative, module.__package__) if node.level else relative
            names |= {package, *(f"{package}.{alias.name}" for alias in node.names)}
    return [sys.modules[name] for name in names if name in sys.modules]


def _execute(file: Path) -> _Loaded:
    """Import a file under a name of its own, so that several pipelines may each have an lfs.py."""
    name = f"{file.stem}_{hashlib.sha256(file.parent.name.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        message = f"{file}: expected a Python file"
        raise LabelingFunctionError(message)
    module = importlib.util.module_from_spec(spec)
    with _imports_from(file.parent):
        sys.modules[name] = module
        try:
            # not by the loader, which may take the compiled file of an older text with the same time
            exec(compile(file.read_bytes(), file, "exec"), module.__dict__)  # noqa: S102  the user's own
        except (Exception, SystemExit) as error:
            raise _import_failed(str(file), error) from error
        return _Loaded.of(module)


@contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """Let modules of a folder be imported, ahead of others of the same names, and take them out again.

    So each file has the modules that are beside it, also where another folder has some of the same names; and
    other processes, which would not find them, get what is in them by value.
    """
    beside = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == _SUFFIX}
    before = dict(sys.modules)
    hidden = {
        name: module
        for name, module in before.items()
        if name.partition(".")[0] in beside and not _is_below(module, folder)
    }
    for name in hidden:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name, module in sys.modules.items() if before.get(name) is not module]:
            if _is_below(sys.modules[name], folder):
                del sys.modules[name]
        sys.modules.update(hidden)


def _is_below(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file).is_relative_to(folder)


def _import_failed(where: str, error: BaseException) -> LabelingFunctionError:
    line = getattr(error, "lineno", None) or _line_in(where, error)
    at = f", line {line}" if line else ""
    return LabelingFunctionError(f"{where}{at}: cannot be imported: {type(error).__name__}: {error}")


def _line_in(file: str, error: BaseException) -> int | None:
    """The last line of the file that the error passed through."""
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines[-1] if lines else None


def _what_is_there(module: ModuleType) -> str:
    """What to do about a module without labeling functions."""
    plain = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
    others = [
        name for name, value in vars(module).items() if type(value).__name__ == LabelingFunction.__name__
    ]
    if others:
        return f"'{others[0]}' is one of another package; import labeling_function from ws_pipeline.labeling"
    if plain:
        return f"'{plain[0]}' is a plain function; decorate it with @labeling_function()"
    return "decorate functions with @labeling_function() of ws_pipeline.labeling"
