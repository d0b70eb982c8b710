"""The models of all text columns as one value in one file; no pickle.

Legend: n texts, d dimensions of a column.  Start reading at :meth:`TextModels.fit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy.typing as npt

from ws_pipeline.errors import FileFormatError, TextError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.text_features import KINDS, TextFeatureConfig, TfidfSvdConfig
from ws_pipeline.storage.files import FileFormat, PathLike, atomic_write, read_stamped, stamp
from ws_pipeline.text.encoders import Encoder
from ws_pipeline.text.tfidf_svd import Floats, TfidfSvd

_FILE_FORMAT = FileFormat("ws_pipeline/TextModels", version=1)

TextModel = TfidfSvd | Encoder


@dataclass(frozen=True, eq=False)
class TextModels:
    """Column name to what makes features of its texts."""

    models: Mapping[str, TextModel]

    @classmethod
    def fit(
        cls, texts: Mapping[str, Sequence[str]], settings: Mapping[str, TextFeatureConfig], *, where: str = ""
    ) -> Self:
        """Fit a model for every column.

        Parameters
        ----------
        texts
            Column name to n texts of the train split.
        settings
            Column name to the settings of its model.
        where
            What the texts are from; opens the messages.

        Raises
        ------
        TextError
            A column is not there, has no words, or its model cannot be read.
        MissingPackageError
            An optional package is not installed.
        """
        opening = f"{where}: " if where else ""
        return cls(
            {
                column: _fit(_texts_of(texts, column, where), of_column, f"{opening}text column '{column}'")
                for column, of_column in settings.items()
            }
        )

    def transform(self, texts: Mapping[str, Sequence[str]], *, device: str = "cpu") -> dict[str, Floats]:
        """Make features ``[n, d]`` of every column.

        Parameters
        ----------
        texts
            Column name to n texts, of any split.
        device
            Name of the torch device that a sentence transformer runs on.

        Raises
        ------
        TextError
            A column is not there, or its model is no longer there as it was.
        """
        return {
            column: _transform(model, _texts_of(texts, column, ""), device, f"text column '{column}'")
            for column, model in self.models.items()
        }

    @cached_property
    def digest(self) -> str:
        """Digest of all that the features depend on, which tells fits apart."""
        return hashlib.sha256(self._encode()).hexdigest()

    def save(self, path: PathLike) -> None:
        """Write everything to one safetensors file, atomically; the same models give the same bytes.

        The folder of an encoder is not part of it, but its digest is.
        """
        with atomic_write(path) as stream:
            stream.write(self._encode())

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read models that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        FileFormatError
            The file is damaged, holds something else or is of another format version.
        """
        from safetensors.numpy import load

        header, tensors = read_stamped(path, load, file_format=_FILE_FORMAT)
        try:
            return cls({column: _decode(column, of, tensors) for column, of in header["columns"]})
        except (KeyError, ValueError, TypeError) as broken:
            message = f"{path}: no models of text that can be used ({broken}); write them again"
            raise FileFormatError(message) from broken

    def _encode(self) -> bytes:
        from safetensors.numpy import save

        columns = [(column, _describe(model)) for column, model in self.models.items()]
        tensors = {
            f"{number}/{name}": values
            for number, model in enumerate(self.models.values())
            if isinstance(model, TfidfSvd)
            for name, values in model.to_tensors().items()
        }
        header = {"columns": [(column, of | {"place": place}) for place, (column, of) in enumerate(columns)]}
        content: bytes = save(tensors, metadata=stamp(_FILE_FORMAT, header))
        return content


def _fit(texts: Sequence[str], settings: TextFeatureConfig, where: str) -> TextModel:
    if isinstance(settings, TfidfSvdConfig):
        return TfidfSvd.fit(texts, settings, where=where)
    return Encoder.fit(texts, settings, where=where)


def _transform(model: TextModel, texts: Sequence[str], device: str, where: str) -> Floats:
    if isinstance(model, TfidfSvd):
        return model.transform(texts)
    return model.transform(texts, device=device, where=where)


def _texts_of(texts: Mapping[str, Sequence[str]], column: str, where: str) -> Sequence[str]:
    if column not in texts:
        opening = f"{where}: " if where else ""
        message = (
            f"{opening}no text column '{column}', found {list(texts)}; add it, or change the key 'features'"
        )
        raise TextError(message)
    return texts[column]


def _describe(model: TextModel) -> dict[str, Any]:
    """What of a model is no array."""
    described: dict[str, Any] = {"settings": model.settings.model_dump()}
    if isinstance(model, Encoder):
        described |= {"dims": model.dims, "folder_digest": model.folder_digest}
    return described


def _decode(column: str, found: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> TextModel:
    settings = parse_settings(KINDS[found["settings"]["kind"]], found["settings"], where=column)
    if not isinstance(settings, TfidfSvdConfig):
        return Encoder(settings, found["dims"], found["folder_digest"])
    prefix = f"{found['place']}/"
    own = {name.removeprefix(prefix): values for name, values in tensors.items() if name.startswith(prefix)}
    return TfidfSvd.from_tensors(settings, own)
