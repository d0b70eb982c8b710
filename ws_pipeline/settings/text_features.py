"""Settings of features that are made of text: one class per kind, told apart by the key ``kind``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from ws_pipeline.settings.base import Settings


class TfidfSvdConfig(Settings):
    """Words and sequences of words, weighted by how rare they are, and reduced to a few numbers."""

    kind: Literal["tfidf_svd"] = "tfidf_svd"
    dims: int = Field(
        128, ge=1, description="Numbers per text; fewer, with a warning, where the train texts give fewer."
    )
    ngrams: int = Field(2, ge=1, le=5, description="Longest sequence of words that is a term; 1: words only.")
    min_df: int | None = Field(
        None,
        ge=1,
        description="Train texts that a term has to occur in. Default: 1 of fewer than 200 texts, 2 of fewer "
        "than 20,000, else 5.",
    )
    max_features: int = Field(50_000, ge=1, description="Terms that are kept at most, the most frequent.")
    lowercase: bool = Field(default=True, description="Take upper and lower case for the same.")


class _LocalModel(Settings):
    """A model that somebody else has trained, in a folder of this machine."""

    model: str = Field(description="Absolute path of the model's folder; nothing is ever downloaded.")

    @field_validator("model")
    @classmethod
    def _check_path(cls, path: str) -> str:
        """Refuse the name of a model on a hub."""
        if "://" in path or not Path(path).is_absolute():
            message = (
                f"expected the absolute path of a folder on this machine, got '{path}'; nothing is "
                "downloaded from a hub: save the model in a folder, and give its path"
            )
            raise ValueError(message)
        return path


class SentenceTransformerConfig(_LocalModel):
    """A model of the package sentence-transformers."""

    kind: Literal["sentence_transformer"] = "sentence_transformer"


class Model2VecConfig(_LocalModel):
    """A static embedding of the package model2vec."""

    kind: Literal["model2vec"] = "model2vec"


EncoderConfig = SentenceTransformerConfig | Model2VecConfig
KINDS: dict[str, type[TfidfSvdConfig | SentenceTransformerConfig | Model2VecConfig]] = {
    "tfidf_svd": TfidfSvdConfig,
    "sentence_transformer": SentenceTransformerConfig,
    "model2vec": Model2VecConfig,
}


def _check_kind(found: Any) -> Any:
    """Read a kind alone as its defaults; refuse an unknown one, with the nearest known one."""
    if isinstance(found, Settings):
        return found
    values = {"kind": found} if isinstance(found, str) else found
    if not isinstance(values, Mapping) or "kind" not in values:
        message = f"expected settings with a kind, such as {{kind: tfidf_svd}}, got {found!r}"
        raise ValueError(message)
    if values["kind"] not in KINDS:
        close = difflib.get_close_matches(str(values["kind"]), KINDS, n=1, cutoff=0.5)
        hint = f", did you mean '{close[0]}'?" if close else ""
        message = f"kind: expected one of {', '.join(KINDS)}, got {values['kind']!r}{hint}"
        raise ValueError(message)
    return values


TextFeatureConfig = Annotated[
    TfidfSvdConfig | SentenceTransformerConfig | Model2VecConfig, Field(discriminator="kind")
]
TextFeature = Annotated[TextFeatureConfig, BeforeValidator(_check_kind)]
"""What makes features of a column of text."""
