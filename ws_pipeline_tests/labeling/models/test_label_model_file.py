"""LabelModel.save and load: round trips, damaged and foreign files, saves that fail."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import pytest
from safetensors.numpy import save_file
from upath import UPath

from ws_pipeline.errors import FileFormatError
from ws_pipeline.labeling import LabelMatrix, LabelModel
from ws_pipeline.storage.files import FileFormat, stamp

VOTES = np.random.default_rng(0).integers(-1, 3, (50, 4))
NAMES = ("a", "Ü b", "c/d", '"quoted"')


def fitted(seed=0):
    matrix = LabelMatrix(VOTES, 3, None, NAMES)
    options = {"class_balance": [0.5, 0.3, 0.2], "n_epochs": 12, "seed": seed}
    return LabelModel(3, verbose=False).fit(matrix, progress_bar=False, **options)


def assert_same(left, right):
    for name in ("mu", "class_balance", "coverage"):
        assert np.array_equal(getattr(left, name), getattr(right, name)), name
        assert getattr(left, name).dtype == np.float64
    for name in ("cardinality", "lf_names", "history_", "n_epochs_"):
        assert getattr(left, name) == getattr(right, name), name


def break_fsync(patch):
    patch.setattr(os, "fsync", fail)


def break_rename(patch):
    patch.setattr(pathlib.Path, "replace", fail)


def fail(*_args):
    message = "No space left on device"
    raise OSError(message)


FAILURES = pytest.mark.parametrize("failure", [break_fsync, break_rename])


# Round trips


def test_a_model_comes_back_from_its_file(tmp_path):
    model = fitted()
    model.save(tmp_path / "model")
    assert_same(LabelModel.from_file(tmp_path / "model"), model)


def test_loading_fills_a_model_and_returns_it(tmp_path):
    fitted().save(tmp_path / "model")
    model = LabelModel(cardinality=7)
    assert model.load(str(tmp_path / "model")) is model
    assert_same(model, fitted())


def test_a_loaded_model_predicts_what_the_saved_one_does(tmp_path):
    fitted().save(tmp_path / "model")
    loaded = LabelModel.from_file(tmp_path / "model")
    assert np.array_equal(loaded.predict_proba(VOTES), fitted().predict_proba(VOTES))
    assert np.array_equal(loaded.get_weights(), fitted().get_weights())


def test_a_loaded_model_can_be_fitted_again(tmp_path):
    fitted(seed=1).save(tmp_path / "model")
    loaded = LabelModel.from_file(tmp_path / "model").fit(VOTES, progress_bar=False, n_epochs=3)
    assert loaded.n_epochs_ == 3


def test_saving_what_was_loaded_gives_the_same_bytes(tmp_path):
    fitted().save(tmp_path / "first")
    LabelModel.from_file(tmp_path / "first").save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_number_of_classes_from_numpy_is_saved(tmp_path):
    LabelModel(np.int64(3), verbose=False).fit(VOTES, progress_bar=False).save(tmp_path / "model")
    assert LabelModel.from_file(tmp_path / "model").cardinality == 3


def test_missing_folders_are_made(tmp_path):
    fitted().save(tmp_path / "new" / "er" / "model")
    assert [path.name for path in (tmp_path / "new" / "er").iterdir()] == ["model"]


def test_saving_replaces_an_older_file_and_leaves_nothing_else(tmp_path):
    fitted(seed=1).save(tmp_path / "model")
    fitted(seed=2).save(tmp_path / "model")
    assert_same(LabelModel.from_file(tmp_path / "model"), fitted(seed=2))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_comes_back_from_an_object_store():
    url = "memory://label_models/deep/model"
    fitted(seed=1).save(url)
    fitted(seed=2).save(url)
    assert_same(LabelModel.from_file(url), fitted(seed=2))
    assert [path.name for path in UPath(url).parent.iterdir()] == ["model"]


# Files that are not label models


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_refused_with_its_path(share, tmp_path):
    path = tmp_path / "model"
    fitted().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FileFormatError) as caught:
        LabelModel.from_file(path)
    assert str(caught.value).startswith(f"{path}: not a complete safetensors file (")


def test_a_text_file_is_refused_with_its_path(tmp_path):
    path = tmp_path / "model"
    path.write_text("dear diary, today I fitted a model\n" * 10)
    with pytest.raises(FileFormatError) as caught:
        LabelModel.from_file(path)
    assert str(caught.value).startswith(f"{path}: not a complete safetensors file (")


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"ws_pipeline": "no json"}, {"ws_pipeline": "[1]"}]
)
def test_tensors_of_another_program_are_refused_with_their_path(metadata, tmp_path):
    path = tmp_path / "model"
    save_file({"mu": fitted().mu}, path, metadata=metadata)
    with pytest.raises(FileFormatError) as caught:
        LabelModel.from_file(path)
    assert str(caught.value) == f"{path}: expected a ws_pipeline/LabelModel file, got another program's"


def test_another_kind_of_our_files_is_refused_with_both_kinds(tmp_path):
    path = tmp_path / "model"
    save_file({"mu": fitted().mu}, path, metadata=stamp(FileFormat("ws_pipeline/Other", 1), {}))
    with pytest.raises(FileFormatError) as caught:
        LabelModel.from_file(path)
    assert str(caught.value) == f"{path}: expected a ws_pipeline/LabelModel file, got ws_pipeline/Other's"


@pytest.mark.parametrize("version", [0, 2])
def test_a_file_of_another_version_is_refused_with_both_versions(version, tmp_path):
    path = tmp_path / "model"
    save_file({"mu": fitted().mu}, path, metadata=stamp(FileFormat("ws_pipeline/LabelModel", version), {}))
    with pytest.raises(FileFormatError) as caught:
        LabelModel.from_file(path)
    assert str(caught.value).startswith(f"{path}: format version {version}, this release reads version 1 of ")


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        LabelModel.from_file(tmp_path / "absent")


def test_a_file_that_is_refused_leaves_the_model_as_it_was(tmp_path):
    (tmp_path / "bad").write_bytes(b"bad")
    model = fitted()
    with pytest.raises(FileFormatError):
        model.load(tmp_path / "bad")
    assert_same(model, fitted())


# Saves that fail


@FAILURES
def test_the_old_file_survives_a_save_that_fails(failure, tmp_path):
    fitted(seed=1).save(tmp_path / "model")
    with pytest.MonkeyPatch.context() as patch:
        failure(patch)
        with pytest.raises(OSError, match="No space left"):
            fitted(seed=2).save(tmp_path / "model")
    assert_same(LabelModel.from_file(tmp_path / "model"), fitted(seed=1))


@FAILURES
def test_a_save_that_fails_leaves_no_file_behind(failure, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        failure(patch)
        with pytest.raises(OSError, match="No space left"):
            fitted().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_the_old_object_survives_an_upload_that_fails():
    url = "memory://label_models/failing/model"
    fitted(seed=1).save(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(UPath(url).fs), "put_file", fail)
        with pytest.raises(OSError, match="No space left"):
            fitted(seed=2).save(url)
    assert_same(LabelModel.from_file(url), fitted(seed=1))
