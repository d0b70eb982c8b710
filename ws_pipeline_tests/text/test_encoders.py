"""Encoders, with tiny modules in the place of the optional packages, which need models to download."""

import sys
from types import ModuleType

import numpy as np
import pytest

from ws_pipeline.errors import FileFormatError, MissingPackageError, TextError
from ws_pipeline.settings.text_features import Model2VecConfig, SentenceTransformerConfig, TfidfSvdConfig
from ws_pipeline.text.encoders import Encoder
from ws_pipeline.text.text_models import TextModels


class FakeModel:
    def __init__(self, path, **options):
        self.path, self.options = path, options

    @classmethod
    def from_pretrained(cls, path):
        return cls(path)

    def encode(self, texts, show_progress_bar):
        assert not show_progress_bar
        assert all(texts)
        return np.array([[3.0 * len(text), 4.0 * len(text)] for text in texts])


@pytest.fixture
def fake(monkeypatch):
    for name, kind in (("sentence_transformers", "SentenceTransformer"), ("model2vec", "StaticModel")):
        module = ModuleType(name)
        setattr(module, kind, FakeModel)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_bytes(b"1")
    return tmp_path / "model"


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("kind", [SentenceTransformerConfig, Model2VecConfig])
def test_rows_have_length_one_and_empty_texts_are_zeros(folder, kind):
    encoder = Encoder.fit(["some"], kind(model=str(folder)))
    assert encoder.dims == 2
    expected = np.array([[0.6, 0.8], [0, 0], [0.6, 0.8]], dtype=np.float32)
    np.testing.assert_array_equal(encoder.transform(["a", " ", "abc"]), expected)


@pytest.mark.usefixtures("fake")
def test_another_model_in_the_folder_is_refused(folder):
    encoder = Encoder.fit(["some"], Model2VecConfig(model=str(folder)))
    (folder / "weights").write_bytes(b"2")
    with pytest.raises(TextError, match=r"col: the model in .*model has changed since it was first used"):
        encoder.transform(["some"], where="col")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TextError, match=rf"col: there is no folder {tmp_path}/none, .*nothing is downloaded"):
        Encoder.fit(["some"], Model2VecConfig(model=f"{tmp_path}/none"), where="col")


def test_a_package_that_is_not_there_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        MissingPackageError, match=r"sentence_transformer .*pip install 'ws-pipeline\[text\]'"
    ):
        Encoder.fit(["some"], SentenceTransformerConfig(model=str(folder)))


@pytest.mark.usefixtures("fake")
def test_models_of_all_kinds_are_read_back_as_they_were_written(folder, tmp_path):
    texts = {"one": ["red bus", "blue car", "red car"], "two": ["some", "", "texts"]}
    settings = {"one": TfidfSvdConfig(dims=2), "two": Model2VecConfig(model=str(folder))}
    models = TextModels.fit(texts, settings)
    models.save(tmp_path / "a.safetensors")
    again = TextModels.load(tmp_path / "a.safetensors")
    again.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert again.digest == models.digest
    for column, values in models.transform(texts).items():
        assert np.array_equal(again.transform(texts)[column], values)
    with pytest.raises(TextError, match=r"no text column 'two', found \['one'\]"):
        again.transform({"one": ["red"]})


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"no model")
    with pytest.raises(FileFormatError, match="not a complete safetensors file"):
        TextModels.load(tmp_path / "a.safetensors")
