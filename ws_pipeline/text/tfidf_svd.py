"""Text as numbers by latent semantic analysis: TF-IDF of words and word pairs, then a truncated SVD.

Everything is learned from the texts that :meth:`TfidfSvd.fit` gets, the train split; words that do not occur
there count for nothing.  See Deerwester et al., Indexing by Latent Semantic Analysis (1990).

Legend: n texts, v terms (the vocabulary), d dimensions.  Start reading at :meth:`TfidfSvd.fit`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from ws_pipeline.errors import FewDimensionsWarning, TextError
from ws_pipeline.settings.text_features import TfidfSvdConfig

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

Floats = npt.NDArray[np.float32]

_SEED = 0
_OVERSAMPLES, _ITERATIONS = 10, 5  # of the randomized SVD
_TINY = 1e-9  # singular values below this share of the largest are rounding errors
_CHUNK = 10_000  # texts that are transformed at a time, so that their counts need little memory
_MIN_DF = ((200, 1), (20_000, 2))  # fewer texts than this -> texts that a term has to occur in
_MANY_MIN_DF = 5


@dataclass(frozen=True, eq=False)
class TfidfSvd:
    """What was learned from the train texts of one column.

    Parameters
    ----------
    settings
        What it was fitted with.
    terms
        The v terms, sorted: words, and sequences of words with a blank between them.
    idf
        ``[v]`` float64 weights: the natural logarithm of (1 + n) / (1 + texts with the term), plus 1.
    components
        ``[d, v]`` float32, orthonormal rows; in each, the number that is farthest from 0 is positive.
    """

    settings: TfidfSvdConfig
    terms: tuple[str, ...]
    idf: npt.NDArray[np.float64]
    components: Floats

    @property
    def dims(self) -> int:
        """Numbers per text."""
        return len(self.components)

    @classmethod
    def fit(
        cls, texts: Sequence[str], settings: TfidfSvdConfig | None = None, *, where: str = "texts"
    ) -> Self:
        """Learn terms, weights and directions from texts.

        The same texts in the same order give the same bytes, whatever the number of threads.

        Parameters
        ----------
        texts
            n texts; empty ones add nothing.
        settings
            Default: :class:`TfidfSvdConfig` as it is.
        where
            What the texts are called; opens the messages.

        Raises
        ------
        TextError
            There is no text, all are empty, or no term occurs in ``min_df`` of them.

        Warns
        -----
        FewDimensionsWarning
            The texts give fewer dimensions than ``settings.dims``.
        """
        from threadpoolctl import threadpool_limits

        settings = settings or TfidfSvdConfig()
        check_texts(texts, where=where)
        vectorizer = _vectorizer(settings, min_df=_min_df(settings, len(texts)))
        try:
            weights = vectorizer.fit_transform(texts)
        except ValueError as none_left:
            raise TextError(_why_no_terms(settings, len(texts), where)) from none_left
        with threadpool_limits(limits=1):  # sums in another order would change the last digits
            components = _directions(weights, settings.dims)
        if len(components) < settings.dims:
            _warn_of_few(len(components), settings.dims, weights.shape, where)
        return cls(settings, tuple(vectorizer.get_feature_names_out()), vectorizer.idf_, components)

    def transform(self, texts: Sequence[str]) -> Floats:
        """Make features ``[n, d]`` of texts: rows of length 1, or zeros where no term of a text is known."""
        vectorizer = _vectorizer(self.settings, vocabulary=self.terms)
        vectorizer.idf_ = self.idf
        chunks = [texts[start : start + _CHUNK] for start in range(0, len(texts), _CHUNK)]
        parts = [unit_rows(vectorizer.transform(chunk) @ self.components.T) for chunk in chunks]
        return np.concatenate([np.empty((0, self.dims), np.float32), *parts])

    def to_tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The fitted arrays by name, the terms as bytes of UTF-8 between line feeds."""
        terms = np.frombuffer("\n".join(self.terms).encode(), dtype=np.uint8)
        return {"terms": terms, "idf": self.idf, "components": self.components}

    @classmethod
    def from_tensors(cls, settings: TfidfSvdConfig, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what :meth:`to_tensors` made.

        Raises
        ------
        KeyError, ValueError
            An array is missing, or does not fit the others.
        """
        terms = tuple(tensors["terms"].tobytes().decode().split("\n"))
        idf, components = tensors["idf"], tensors["components"]
        if idf.shape != (len(terms),) or components.shape[1:] != (len(terms),):
            message = f"{len(terms)} terms, but arrays of shape {list(idf.shape)}, {list(components.shape)}"
            raise ValueError(message)
        return cls(settings, terms, idf, components)


def unit_rows(values: npt.NDArray[Any]) -> Floats:
    """Rows ``[n, d]`` divided by their lengths; rows of zeros stay."""
    lengths = np.sqrt((values.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    rows: Floats = (values / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return rows


def check_texts(texts: Sequence[str], *, where: str) -> None:
    """Refuse texts that nothing can be learned from.

    Raises
    ------
    TextError
        There is none, or all are empty.
    """
    if not len(texts):
        message = f"{where}: expected texts of the train split, found none; ingest examples of split 'train'"
        raise TextError(message)
    if not any(text.strip() for text in texts):
        message = (
            f"{where}: expected words, but all {len(texts)} texts of the train split are empty or null; fill "
            "the column, or leave it out of the key 'features'"
        )
        raise TextError(message)


def _vectorizer(settings: TfidfSvdConfig, **options: Any) -> TfidfVectorizer:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        sublinear_tf=True,
        ngram_range=(1, settings.ngrams),
        lowercase=settings.lowercase,
        max_features=settings.max_features,
        **options,
    )


def _min_df(settings: TfidfSvdConfig, n: int) -> int:
    if settings.min_df is not None:
        return settings.min_df
    return next((min_df for fewer_than, min_df in _MIN_DF if n < fewer_than), _MANY_MIN_DF)


def _directions(weights: Any, dims: int) -> Floats:
    """Right singular vectors ``[d, v]`` of the weights ``[n, v]``, the largest first, signs fixed."""
    from sklearn.utils.extmath import randomized_svd

    wanted = min(dims, *weights.shape)
    _, sizes, found = randomized_svd(
        weights, wanted, n_oversamples=_OVERSAMPLES, n_iter=_ITERATIONS, random_state=_SEED
    )
    kept = found[sizes > _TINY * sizes[0]]
    largest = kept[np.arange(len(kept)), np.abs(kept).argmax(axis=1)]
    directions: Floats = np.ascontiguousarray(kept * np.sign(largest)[:, None], dtype=np.float32)
    return directions


def _why_no_terms(settings: TfidfSvdConfig, n: int, where: str) -> str:
    min_df = _min_df(settings, n)
    return (
        f"{where}: expected a word of two or more letters or digits that occurs in {min_df} of the {n} texts "
        "of the train split, found none; lower min_df, or leave the column out of the key 'features'"
    )


def _warn_of_few(found: int, wanted: int, shape: tuple[int, int], where: str) -> None:
    message = (
        f"{where}: {found} dimensions instead of {wanted}: the {shape[0]} texts of the train split, with "
        f"{shape[1]} terms, give no more; lower dims to {found}, or ingest more texts"
    )
    warnings.warn(message, FewDimensionsWarning, stacklevel=3)
