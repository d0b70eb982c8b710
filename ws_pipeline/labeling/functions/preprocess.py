"""Preprocessors: steps that labeling functions share, such as parsing a text.

They are mappers (:mod:`.mapping`) by another name.  With ``memoize=True`` the step is done once for each data
point, however many labeling functions name it in ``pre``.
"""

from __future__ import annotations

from typing import ClassVar

from ws_pipeline.labeling.functions.mapping import BaseMapper, LambdaMapper, Mapper, lambda_mapper

BasePreprocessor = BaseMapper


class Preprocessor(Mapper):
    """A preprocessor as a class; see :class:`~ws_pipeline.labeling.functions.mapping.Mapper`."""


class LambdaPreprocessor(LambdaMapper):
    """A preprocessor made of a function; see :class:`.LambdaMapper`."""


class preprocessor(lambda_mapper):  # noqa: N801  a decorator
    """Decorate a function to make it a preprocessor.

    Parameters
    ----------
    name, pre, memoize, memoize_key
        As for :class:`~ws_pipeline.labeling.functions.mapping.lambda_mapper`.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from ws_pipeline.labeling import labeling_function
    >>> @preprocessor(memoize=True)
    ... def lower(x):
    ...     x.text = x.text.lower()
    ...     return x
    >>> @labeling_function(pre=[lower])
    ... def asks_to_check(x):
    ...     return 1 if "check out" in x.text else -1
    >>> asks_to_check(SimpleNamespace(text="CHECK OUT my song"))
    1
    """

    mapper_type: ClassVar[type[LambdaMapper]] = LambdaPreprocessor
