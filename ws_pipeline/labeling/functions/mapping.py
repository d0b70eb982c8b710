"""Mappers: functions from a data point to a data point, which may remember what they returned.

Preprocessors (:mod:`.preprocess`) are mappers.  A mapper gets a copy of the data point, so that it may write
to it.  Start reading at :class:`BaseMapper`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

from ws_pipeline.errors import LabelingFunctionError
from ws_pipeline.labeling.functions.data_points import deep_copy, hashable, shallow_copy

MapFunction = Callable[[Any], Any]
MemoizeKey = Callable[[Any], Hashable]


class BaseMapper:
    """Maps a data point to a new one; the one it got stays as it is.

    Subclasses implement ``_generate_mapped_data_point``, or ``__call__`` itself.

    Parameters
    ----------
    name
        Its name, for messages.
    pre
        Mappers to apply before, in order.
    memoize
        Remember the result for each data point.  The cache grows without limit; :meth:`reset_cache`
        empties it.
    memoize_key
        What data points are looked up by: a function from a data point to something hashable.
        Default: the values of all fields.

    Attributes
    ----------
    name, memoize
        See above.
    """

    def __init__(
        self, name: str, pre: Sequence[MapFunction], memoize: bool, memoize_key: MemoizeKey | None = None
    ) -> None:
        self.name = name
        self.memoize = memoize
        self._pre = list(pre)
        self._memoize_key: MemoizeKey = memoize_key or _values_of
        self._cache: dict[Hashable, Any] = {}

    def reset_cache(self) -> None:
        """Forget all remembered results."""
        self._cache = {}

    def __call__(self, x: Any) -> Any:
        """Map one data point.

        Parameters
        ----------
        x
            Data point of any type that can be copied.

        Returns
        -------
        Any
            A new data point, or None where there is none.  Of a remembered result, a copy.

        Raises
        ------
        LabelingFunctionError
            A mapper in ``pre`` returned None, or ``x`` cannot be looked up.
        """
        if not self.memoize:
            return self._map(x)
        key = self._memoize_key(x)
        if key not in self._cache:
            self._cache[key] = self._map(x)
        return shallow_copy(self._cache[key])

    def _map(self, x: Any) -> Any:
        return self._generate_mapped_data_point(apply_in_order(self._pre, deep_copy(x), self.name))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # what is remembered stays in this process

    def _generate_mapped_data_point(self, x: Any) -> Any:
        """Map a copy of the data point."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.name}, Pre: {self._pre}"


class Mapper(BaseMapper):
    """A mapper as a class: ``run`` computes new fields from fields.

    Subclasses implement ``run``, with the fields as parameters.

    Parameters
    ----------
    name
        Its name.
    field_names
        Parameter of ``run`` -> field of the data point.  Default: fields of the parameters' names.
    mapped_field_names
        Key of what ``run`` returns -> field to set.  Default: the keys.
    pre, memoize, memoize_key
        As for :class:`BaseMapper`.

    Raises
    ------
    LabelingFunctionError
        ``run`` has a parameter ``*args`` or ``**kwargs``, and ``field_names`` is not given.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class CountWords(Mapper):
    ...     def run(self, text):
    ...         return {"n_words": len(text.split())}
    >>> CountWords("count")(SimpleNamespace(text="well done")).n_words
    2
    """

    def __init__(
        self,
        name: str,
        field_names: Mapping[str, str] | None = None,
        mapped_field_names: Mapping[str, str] | None = None,
        pre: Sequence[MapFunction] | None = None,
        memoize: bool = False,
        memoize_key: MemoizeKey | None = None,
    ) -> None:
        super().__init__(name, pre or [], memoize, memoize_key)
        self.field_names = dict(field_names) if field_names is not None else _fields_of(name, self.run)
        self.mapped_field_names = mapped_field_names

    def run(self, **kwargs: Any) -> Mapping[str, Any] | None:
        """Compute new fields; None means that there is no mapped data point."""
        raise NotImplementedError

    def _generate_mapped_data_point(self, x: Any) -> Any:
        fields = self.run(**{name: getattr(x, field) for name, field in self.field_names.items()})
        if fields is None:
            return None
        return self._update_fields(x, self._renamed(fields))

    def _renamed(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.mapped_field_names is None:
            return fields
        missing = sorted(self.mapped_field_names.keys() - fields.keys())
        if missing:
            found = ", ".join(map(str, fields)) or "nothing"
            message = (
                f"{type(self).__name__} '{self.name}': run returned no '{missing[0]}', which "
                f"mapped_field_names names; it returned {found}"
            )
            raise LabelingFunctionError(message)
        return {field: fields[key] for key, field in self.mapped_field_names.items()}

    def _update_fields(self, x: Any, fields: Mapping[str, Any]) -> Any:
        for field, value in fields.items():
            setattr(x, field, value)
        return x


class LambdaMapper(BaseMapper):
    """A mapper made of a function, which may write to the data point it gets.

    Parameters
    ----------
    name
        Its name.
    f
        Takes a data point and returns one, or None.
    pre, memoize, memoize_key
        As for :class:`BaseMapper`.
    """

    def __init__(
        self,
        name: str,
        f: MapFunction,
        pre: Sequence[MapFunction] | None = None,
        memoize: bool = False,
        memoize_key: MemoizeKey | None = None,
    ) -> None:
        self._f = f
        super().__init__(name, pre or [], memoize, memoize_key)

    def _generate_mapped_data_point(self, x: Any) -> Any:
        return self._f(x)


class lambda_mapper:  # noqa: N801  a decorator
    """Decorate a function to make it a :class:`LambdaMapper`.

    Parameters
    ----------
    name
        Its name.  Default: the name of the function.
    pre, memoize, memoize_key
        As for :class:`BaseMapper`.

    Raises
    ------
    LabelingFunctionError
        The parentheses are missing.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> @lambda_mapper()
    ... def shout(x):
    ...     x.text = x.text.upper()
    ...     return x
    >>> point = SimpleNamespace(text="hey")
    >>> shout(point).text, point.text
    ('HEY', 'hey')
    """

    mapper_type: ClassVar[type[LambdaMapper]] = LambdaMapper

    def __init__(
        self,
        name: str | None = None,
        pre: Sequence[MapFunction] | None = None,
        memoize: bool = False,
        memoize_key: MemoizeKey | None = None,
    ) -> None:
        if callable(name):
            message = f"this decorator is missing parentheses: write @{type(self).__name__}()"
            raise LabelingFunctionError(message)
        self.name = name
        self.pre = pre
        self.memoize = memoize
        self.memoize_key = memoize_key

    def __call__(self, f: MapFunction) -> LambdaMapper:
        """Wrap ``f``."""
        return self.mapper_type(self.name or f.__name__, f, self.pre, self.memoize, self.memoize_key)


def apply_in_order(mappers: Sequence[MapFunction], x: Any, what: str) -> Any:
    """Apply ``mappers`` to a data point, one after the other.

    Raises
    ------
    LabelingFunctionError
        One returned None; ``what`` they were applied for opens the message.
    """
    for mapper in mappers:
        x = mapper(x)
        if x is None:
            message = f"{what}: preprocessor {mapper!r} returned None; it must return the data point"
            raise LabelingFunctionError(message)
    return x


def _values_of(x: Any) -> Hashable:
    return hashable(x, exact=True)


def _fields_of(name: str, run: Callable[..., Any]) -> dict[str, str]:
    """Map the parameters of ``run`` to fields of the same names."""
    parameters = inspect.signature(run).parameters
    for parameter in parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            message = (
                f"mapper '{name}': the parameters of run are the fields it reads, got '{parameter}'; "
                "name the fields, or pass field_names"
            )
            raise LabelingFunctionError(message)
    return {parameter: parameter for parameter in parameters}
