"""Text as numbers by a model that somebody else has trained: sentence-transformers, or model2vec.

Models are read from a folder of this machine; nothing is downloaded, and no code that a model brings is run.
Both packages are optional (the extra ``text``).

Legend: n texts, d dimensions.  Start reading at :meth:`Encoder.fit`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from ws_pipeline.errors import MissingPackageError, TextError
from ws_pipeline.settings.text_features import EncoderConfig
from ws_pipeline.text.tfidf_svd import Floats, check_texts, unit_rows

_ANY_TEXT = "text"


@dataclass(frozen=True)
class Encoder:
    """A model in a folder, as it was when it was first used.

    Parameters
    ----------
    settings
        The kind, and the folder.
    dims
        Numbers per text.
    folder_digest
        Digest of the names and contents of the folder's files.
    """

    settings: EncoderConfig
    dims: int
    folder_digest: str

    @classmethod
    def fit(cls, texts: Sequence[str], settings: EncoderConfig, *, where: str = "texts") -> Self:
        """Look at the model; nothing is learned from the texts.

        Raises
        ------
        TextError
            There is no text, all are empty, or the folder holds no model that can be used.
        MissingPackageError
            The package of the model is not installed.
        """
        check_texts(texts, where=where)
        encode = _load(settings, "cpu", where)
        return cls(settings, encode([_ANY_TEXT]).shape[1], _digest_of(Path(settings.model)))

    def transform(self, texts: Sequence[str], *, device: str = "cpu", where: str = "texts") -> Floats:
        """Make features ``[n, d]`` of texts: rows of length 1, zeros where a text is empty.

        Raises
        ------
        TextError
            The model is not there, or is another one than it was when this was fitted.
        MissingPackageError
            The package of the model is not installed.
        """
        encode = _load(self.settings, device, where)
        if _digest_of(Path(self.settings.model)) != self.folder_digest:
            message = (
                f"{where}: the model in {self.settings.model} has changed since it was first used; retrain, "
                "which uses the new one everywhere, or put the old one back"
            )
            raise TextError(message)
        features = np.zeros((len(texts), self.dims), dtype=np.float32)
        filled = [row for row, text in enumerate(texts) if text.strip()]
        if filled:
            features[filled] = unit_rows(encode([texts[row] for row in filled]))
        return features


def _load(settings: EncoderConfig, device: str, where: str) -> Callable[[Sequence[str]], Any]:
    """Load the model of a folder; returns what makes an array ``[n, d]`` of texts."""
    folder = Path(settings.model)
    if not folder.is_dir():
        message = (
            f"{where}: there is no folder {folder}, expected one with a {settings.kind} model; nothing is "
            "downloaded: save the model there, or give the path of another folder"
        )
        raise TextError(message)
    model = _sentence_transformer if settings.kind == "sentence_transformer" else _model2vec
    try:
        encode = model(folder, device)
    except (OSError, ValueError, KeyError) as broken:
        if isinstance(broken, MissingPackageError):
            raise
        message = (
            f"{where}: {folder} holds no {settings.kind} model that can be read ({broken}); save it again"
        )
        raise TextError(message) from broken
    return encode


def _sentence_transformer(folder: Path, device: str) -> Callable[[Sequence[str]], Any]:
    package = _import("sentence_transformers")
    model = package.SentenceTransformer(str(folder), device=device, local_files_only=True)
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


def _model2vec(folder: Path, _device: str) -> Callable[[Sequence[str]], Any]:
    model = _import("model2vec").StaticModel.from_pretrained(str(folder))
    return lambda texts: np.asarray(model.encode(list(texts), show_progress_bar=False))


def _import(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as missing:
        message = (
            f"features of kind {package.removesuffix('s')} need the package {package.replace('_', '-')}, "
            f"which cannot be imported ({missing}): pip install 'ws-pipeline[text]'"
        )
        raise MissingPackageError(message) from missing


def _digest_of(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{file.relative_to(folder).as_posix()}\n".encode())
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
