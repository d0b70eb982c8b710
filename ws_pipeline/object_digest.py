"""Digests of Python objects: values by content, functions by their source text.

Two processes that hold equal values and the same code find the same digest.  A function enters by its name,
its source text, its defaults, the variables that it encloses and the object that it is bound to; of
installed packages only the name.  Another object enters by its type and its attributes, without those whose
name starts with an underscore; where the global variables of functions are followed, frames, dates and the
like enter by content, and objects of one's own classes by all that they hold.  Everything enters as it is
when it is asked for.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import sysconfig
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import CodeType, EllipsisType, ModuleType, NoneType
from typing import Any
from uuid import UUID

import numpy as np
from upath import UPath

PartsOf = Mapping[type, Callable[[Any], list[Any]]]
"""Type to a function that gives the values that decide what an object of it does."""

_PLAIN = (
    *(NoneType, bool, int, float, complex, str, bytes, EllipsisType, range, slice),
    *(np.generic, np.dtype, Enum),
)
_CODE = (  # all of a code object but its places in files
    *("co_code", "co_exceptiontable", "co_consts", "co_names", "co_varnames", "co_flags"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
)
_BY_REPR = (date, time, timedelta, Decimal, Fraction, UUID)
_OF_LIBRARIES: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (  # library, a method of the type, content
    (
        "pandas",
        "tolist",
        lambda column: [str(column.dtype), column.tolist(), list(getattr(column, "index", ()))],
    ),
    ("pandas", "to_dict", lambda frame: [list(map(str, frame.dtypes)), frame.to_dict("split")]),
    ("pyarrow", "to_pylist", lambda table: table.to_pylist()),
    ("polars", "to_dicts", lambda frame: frame.to_dicts()),
    ("polars", "to_list", lambda column: column.to_list()),
)
_DEPTH = 3  # of modules in modules that are followed
_INSTALLED = tuple(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib"))

_Known = dict[int, tuple[object, bytes]]
"""id -> (object, digest); keeping the object stops Python from reusing its id."""


@dataclass(frozen=True)
class ObjectDigest:
    """Makes digests of nested values.

    Parameters
    ----------
    parts_of
        What else decides about objects of some types, before the types that are known here.
    plain
        Further types whose values are told by their ``repr``.
    follow_globals
        Whether the global variables that a function reads, and the functions that it calls, count as
        parts of it.
    by_name
        Packages of whose functions and classes only the name counts, as of those that are installed.
    """

    parts_of: PartsOf
    plain: tuple[type, ...] = ()
    follow_globals: bool = False
    by_name: tuple[str, ...] = ()

    def __call__(self, *values: Any) -> str:
        """Digest of nested values, 64 hexadecimal digits.

        Parameters
        ----------
        *values
            Arrays, strings, numbers, None, and mappings, sequences and sets of these, by content;
            functions, modules and other objects as this module's text says.
        """
        return self._digest(values, {}).hex()

    def _digest(self, value: Any, known: _Known) -> bytes:
        """Digest of a value; an object is described once, and within itself it stands for its place."""
        if isinstance(value, (*_PLAIN, *self.plain)):
            return hash_parts("plain", repr(value))
        if id(value) not in known:
            known[id(value)] = value, hash_parts("within", str(len(known)))
            known[id(value)] = value, self._describe(value, known)
        found = known[id(value)][1]
        if isinstance(value, list | tuple | Mapping | AbstractSet):
            del known[id(value)]  # equal containers are the same, shared or not
        return found

    def _describe(self, value: Any, known: _Known) -> bytes:
        """Digest of a value that has parts."""
        if isinstance(value, Buffer):
            return hash_parts(*value.parts)
        if isinstance(value, np.ndarray):
            flat = np.ascontiguousarray(value).reshape(-1)
            content = self._digest(value.tolist(), known) if value.dtype.hasobject else flat.view(np.uint8)
            return hash_parts(str(value.dtype), str(value.shape), content)
        if isinstance(value, AbstractSet):
            return hash_parts("set", *sorted(self._digest(item, dict(known)) for item in value))
        kind, parts = "list", value
        if isinstance(value, Mapping):
            kind, parts = "mapping", [part for item in value.items() for part in item]
        elif not isinstance(value, list | tuple):
            kind, parts = f"object {type(value).__qualname__}", self._parts(value)
        return hash_parts(kind, *(self._digest(part, known) for part in parts))

    def _parts(self, value: Any) -> list[Any]:
        """Values that decide what an object does."""
        for kind, parts_of in {**self.parts_of, **_PARTS_OF}.items():
            if isinstance(value, kind):
                return parts_of(value)
        if not hasattr(value, "__qualname__"):
            return self._parts_of_instance(value)
        parts = self._parts_of_class(value) if isinstance(value, type) else self._parts_of_function(value)
        return [*parts, *globals_read(value)] if self.follow_globals and self._is_own(value) else parts

    def _parts_of_instance(self, value: Any) -> list[Any]:
        """Type and attributes of an object: all of them, if its class is one's own and globals count."""
        if not self.follow_globals:
            return [type(value), attributes_of(value)]
        content = _content_of(value)
        if content is not None:
            return [type(value).__qualname__, content]
        if not self._is_own(type(value)):
            return [type(value), attributes_of(value)]
        slots = [name for kind in type(value).__mro__ for name in _slots_of(kind)]
        return [
            type(value),
            sorted_items(getattr(value, "__dict__", {})),
            [[name, getattr(value, name)] for name in slots if hasattr(value, name)],
        ]

    def _parts_of_class(self, kind: type) -> list[Any]:
        return [kind.__module__, kind.__qualname__, *map(self._source, kind.__mro__)]

    def _parts_of_function(self, function: Any) -> list[Any]:
        """Name, source text, and all that its calls depend on beside their arguments."""
        names = [getattr(function, name, None) for name in ("__module__", "__qualname__")]
        values = [getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__", "__self__")]
        closure = [_content_of_cell(cell) for cell in getattr(function, "__closure__", None) or ()]
        wrapped = getattr(function, "__wrapped__", None)
        return [names, self._source(function), values, closure, wrapped, attributes_of(function)]

    def _source(self, code: Any) -> Any:
        """Source text of a function or class; what it was compiled to where there is none."""
        if getattr(code, "__name__", None) == "<lambda>" and self.follow_globals:
            return code.__code__  # the source text of a lambda may end at the end of its first line
        try:
            return inspect.getsource(code) if self._is_own(code) else None
        except (OSError, TypeError):
            if not isinstance(code, type):
                return getattr(code, "__code__", None)
            return sorted_items({name: part for name, part in vars(code).items() if inspect.isfunction(part)})

    def _is_own(self, code: Any) -> bool:
        """Whether a function or class is neither installed nor of one of the packages ``by_name``."""
        if (getattr(code, "__module__", None) or "").partition(".")[0] in self.by_name:
            return False
        try:
            return not is_installed(inspect.getsourcefile(code))
        except TypeError:  # built in, or made without a file
            return True


@dataclass(frozen=True, eq=False)
class Buffer:
    """Parts that are hashed as they are: texts and buffers of bytes."""

    parts: tuple[Any, ...]


def hash_parts(*parts: Any) -> bytes:
    """Digest of texts and buffers, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{memoryview(data).nbytes}:".encode())
        digest.update(data)
    return digest.digest()


def sorted_items(mapping: Mapping[str, Any]) -> list[list[Any]]:
    """Items of a mapping whose order says nothing."""
    return [[name, mapping[name]] for name in sorted(mapping)]


def attributes_of(value: Any, left_out: AbstractSet[str] = frozenset()) -> list[list[Any]]:
    """Attributes of an object itself, without those whose name starts with an underscore."""
    own = {name: part for name, part in getattr(value, "__dict__", {}).items() if not name.startswith("_")}
    return sorted_items({name: own[name] for name in own.keys() - left_out - {"training"}})


def globals_read(value: Any) -> list[list[Any]]:
    """Global variables that a function, or the methods of a class, read, by name."""
    functions = [value]
    if isinstance(value, type):
        functions = [part for member in vars(value).values() for part in _functions_in(member)]
    found: dict[str, Any] = {}
    for function in functions:
        code, variables = getattr(function, "__code__", None), getattr(function, "__globals__", {})
        names = set() if code is None else set(_names_of(code))
        for name in names & variables.keys() - {"__name__", "__file__"}:
            found[name] = variables[name]
            found |= _read_of_module(name, variables[name], names)
    return sorted_items(found)


def _functions_in(member: Any) -> list[Any]:
    """The functions of a member of a class: a method of any kind, or a property."""
    if isinstance(member, property):
        return [part for part in (member.fget, member.fset, member.fdel) if part is not None]
    return [getattr(member, "__func__", member)]


def _read_of_module(name: str, value: Any, names: AbstractSet[str]) -> dict[str, Any]:
    """What a function reads of a module of one's own that it names, and of modules in it."""
    if not isinstance(value, ModuleType) or is_installed(getattr(value, "__file__", None)):
        return {}
    found: dict[str, Any] = {}
    for part in names & vars(value).keys():
        found[f"{name}.{part}"] = getattr(value, part)
        if name.count(".") < _DEPTH:
            found |= _read_of_module(f"{name}.{part}", getattr(value, part), names)
    return found


def _content_of(value: Any) -> Any:
    """The values in an object of a library whose attributes do not show them; None for any other object."""
    if isinstance(value, _BY_REPR):
        return repr(value)
    if isinstance(value, deque):
        return list(value)
    library = type(value).__module__.partition(".")[0]
    for name, method, content in _OF_LIBRARIES:
        if library == name and hasattr(value, method):
            return content(value)
    return None


def _slots_of(kind: type) -> list[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [name for name in slots if not name.startswith("__")]


def _names_of(code: CodeType) -> Iterator[str]:
    """Global names and attributes that code and the functions in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def is_installed(file: str | None) -> bool:
    """Whether a source file belongs to Python or to an installed package, and not to one's own code."""
    return (file or "").startswith(_INSTALLED)


def _content_of_cell(cell: Any) -> Any:
    """The value of a variable that a function encloses; it may not have one yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return "no value yet"


_PARTS_OF: dict[type, Callable[[Any], list[Any]]] = {
    CodeType: lambda code: [getattr(code, name) for name in _CODE],
    functools.partial: lambda function: [function.func, function.args, function.keywords],
    re.Pattern: lambda pattern: [pattern.pattern, pattern.flags],
    ModuleType: lambda module: [module.__name__],
    PurePath: lambda path: [str(path)],
    UPath: lambda path: [str(path)],
}
