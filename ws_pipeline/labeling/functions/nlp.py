"""Labeling functions over texts parsed by spaCy, an optional package.

A :class:`SpacyPreprocessor` adds the parsed text to the data point; :class:`nlp_labeling_function` decorates
functions that read it.  Labeling functions of the same settings share one preprocessor, so that each text is
parsed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from ws_pipeline.errors import LabelingFunctionError, MissingPackageError
from ws_pipeline.labeling.functions.labeling_function import LabelingFunction
from ws_pipeline.labeling.functions.mapping import MapFunction, MemoizeKey
from ws_pipeline.labeling.functions.preprocess import Preprocessor

if TYPE_CHECKING:
    from types import ModuleType

EN_CORE_WEB_SM = "en_core_web_sm"


class SpacyPreprocessor(Preprocessor):
    """Adds the parsed text, a spaCy ``Doc``, to the data point.

    Parameters
    ----------
    text_field
        Field with the text.
    doc_field
        Field to set.
    language
        Name of the spaCy model.
    disable
        Components of the model to leave out.
    pre, memoize, memoize_key
        As for :class:`~ws_pipeline.labeling.functions.mapping.BaseMapper`.
    gpu
        Use a GPU where there is one.

    Raises
    ------
    MissingPackageError
        spaCy, or the model, is not installed.
    """

    def __init__(
        self,
        text_field: str,
        doc_field: str,
        language: str = EN_CORE_WEB_SM,
        disable: Sequence[str] | None = None,
        pre: Sequence[MapFunction] | None = None,
        memoize: bool = False,
        memoize_key: MemoizeKey | None = None,
        gpu: bool = False,
    ) -> None:
        super().__init__(
            type(self).__name__, {"text": text_field}, {"doc": doc_field}, pre, memoize, memoize_key
        )
        self.gpu = gpu
        self._model = (language, tuple(disable or ()), gpu)
        self._nlp = _load(*self._model)

    def run(self, text: str) -> Mapping[str, Any]:  # type: ignore[override]  # its parameters are the fields
        """Parse a text."""
        return {"doc": self._nlp(text)}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_nlp": None}  # loaded again where it is unpickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._nlp = _load(*self._model)


class NLPLabelingFunction(LabelingFunction):
    """A labeling function that reads ``x.doc``, the text parsed by spaCy.

    Parameters
    ----------
    name, f, resources
        As for :class:`LabelingFunction`.
    pre
        Preprocessors to apply before the text is parsed.
    text_field, doc_field, language, disable, memoize, memoize_key, gpu
        As for :class:`SpacyPreprocessor`.

    Raises
    ------
    MissingPackageError
        spaCy, or the model, is not installed.
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., int],
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[MapFunction] | None = None,
        text_field: str = "text",
        doc_field: str = "doc",
        language: str = EN_CORE_WEB_SM,
        disable: Sequence[str] | None = None,
        memoize: bool = True,
        memoize_key: MemoizeKey | None = None,
        gpu: bool = False,
    ) -> None:
        parser = shared_parser(
            text_field,
            doc_field,
            language=language,
            disable=tuple(disable or ()),
            pre=tuple(pre or ()),
            memoize=memoize,
            memoize_key=memoize_key,
            gpu=gpu,
        )
        super().__init__(name, f, resources, [parser])


class nlp_labeling_function:  # noqa: N801  a decorator
    """Decorate a function to make it an :class:`NLPLabelingFunction`.

    Parameters
    ----------
    name
        Name of the LF.  Default: the name of the function.
    resources, pre, text_field, doc_field, language, disable, memoize, memoize_key, gpu
        As for :class:`NLPLabelingFunction`.

    Raises
    ------
    LabelingFunctionError
        The parentheses are missing.
    """

    function_type: ClassVar[type[LabelingFunction]] = NLPLabelingFunction

    def __init__(
        self,
        name: str | None = None,
        resources: Mapping[str, Any] | None = None,
        pre: Sequence[MapFunction] | None = None,
        text_field: str = "text",
        doc_field: str = "doc",
        language: str = EN_CORE_WEB_SM,
        disable: Sequence[str] | None = None,
        memoize: bool = True,
        memoize_key: MemoizeKey | None = None,
        gpu: bool = False,
    ) -> None:
        if callable(name):
            message = f"this decorator is missing parentheses: write @{type(self).__name__}()"
            raise LabelingFunctionError(message)
        self.name = name
        self._settings: dict[str, Any] = {
            "resources": resources,
            "pre": pre,
            "text_field": text_field,
            "doc_field": doc_field,
            "language": language,
            "disable": disable,
            "memoize": memoize,
            "memoize_key": memoize_key,
            "gpu": gpu,
        }

    def __call__(self, f: Callable[..., int]) -> LabelingFunction:
        """Wrap ``f``."""
        return self.function_type(self.name or f.__name__, f, **self._settings)


@cache
def shared_parser(text_field: str, doc_field: str, **settings: Any) -> SpacyPreprocessor:
    """Return the preprocessor of these settings, always the same one."""
    return SpacyPreprocessor(text_field, doc_field, **settings)


@cache
def _load(language: str, disable: tuple[str, ...], gpu: bool) -> Any:
    """Load a spaCy model, once."""
    spacy = _import_spacy()
    if gpu:
        spacy.prefer_gpu()
    try:
        return spacy.load(language, disable=list(disable))
    except OSError as missing:
        message = f"spaCy has no model '{language}'; install it: python -m spacy download {language}"
        raise MissingPackageError(message) from missing


def _import_spacy() -> ModuleType:
    try:
        import spacy
    except ImportError as missing:
        message = (
            f"parsing texts needs spaCy, which cannot be imported ({missing}): pip install "
            f"'ws-pipeline[spacy]', then python -m spacy download {EN_CORE_WEB_SM}"
        )
        raise MissingPackageError(message) from missing
    return spacy  # type: ignore[no-any-return]
