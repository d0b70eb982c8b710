"""Saving and loading a classifier."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import nn
from upath import UPath

from ws_pipeline.classification import DictDataset, MultitaskClassifier, Operation, Task
from ws_pipeline.errors import FileFormatError


def state(model: MultitaskClassifier) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("where", ["local", "memory"])
def test_round_trip(where, tmp_path, make_model):
    path = (
        "memory://models/end.safetensors"
        if where == "memory"
        else str(tmp_path / "models" / "end.safetensors")
    )
    saved, other = make_model(seed=1), make_model(seed=2)
    assert state(saved) != state(other)
    saved.save(path)
    other.load(path)
    assert state(saved) == state(other)
    assert set(load(UPath(path).read_bytes())) == set(saved.state_dict())


def test_same_parameters_same_bytes(tmp_path, make_model):
    for number in range(5):
        make_model(seed=1).save(tmp_path / str(number))
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


def test_tied_parameters(tmp_path):
    def tied() -> MultitaskClassifier:
        first, second = nn.Linear(2, 2), nn.Linear(2, 2)
        second.weight = first.weight
        ops = [Operation("first", [("_input_", "x")]), Operation("second", ["first"])]
        return MultitaskClassifier([Task("t", {"first": first, "second": second}, ops)], device=-1)

    saved, other = tied(), tied()
    saved.save(tmp_path / "tied")
    other.load(tmp_path / "tied")
    assert state(saved) == state(other)
    assert other.module_pool["first"].weight is other.module_pool["second"].weight


def test_damaged_and_foreign_files_leave_the_parameters_alone(tmp_path, make_model, dataset):
    model = make_model()
    model.save(tmp_path / "good")
    before = state(model)
    whole = (tmp_path / "good").read_bytes()
    for length in (0, 7, 50, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="cut: not a complete safetensors file"):
            model.load(tmp_path / "cut")
    (tmp_path / "foreign").write_bytes(save(model.state_dict()))
    with pytest.raises(
        FileFormatError, match="foreign: expected a ws_pipeline/MultitaskClassifier file, got another"
    ):
        model.load(tmp_path / "foreign")
    dataset.save(tmp_path / "dataset")
    with pytest.raises(FileFormatError, match="got ws_pipeline/DictDataset"):
        model.load(str(tmp_path / "dataset"))
    assert isinstance(DictDataset.load(tmp_path / "dataset"), DictDataset)
    with pytest.raises(FileNotFoundError):
        model.load(tmp_path / "absent")
    assert state(model) == before


def test_another_classifiers_file(tmp_path, make_model):
    model = make_model()
    before = state(model)
    make_model(hidden=[8, 5], seed=3).save(tmp_path / "deep")
    with pytest.raises(
        FileFormatError, match=r"unexpected 'module_pool.trunk.linear1.bias'.*head.weight' of shape"
    ):
        model.load(tmp_path / "deep")
    task = Task("lonely", {"trunk": nn.Linear(4, 2)}, [Operation("trunk", [("_input_", "features")])])
    MultitaskClassifier([task], device=-1).save(tmp_path / "lonely")
    with pytest.raises(FileFormatError, match="expected tasks three, two, got lonely"):
        model.load(tmp_path / "lonely")
    assert state(model) == before


def test_a_failed_save_keeps_the_older_file(tmp_path, make_model, monkeypatch):
    model = make_model()
    model.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def fail(*_arguments: object, **_settings: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with torch.no_grad():
        model.module_pool["two_head"].bias += 1
    with pytest.raises(OSError, match="No space left"):
        model.save(tmp_path / "model")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("model", before)]


def test_a_file_of_torch_is_named_and_its_tensors_are_taken(make_model, tmp_path):
    model, other, path = make_model(seed=1), make_model(seed=2), tmp_path / "model.pth"
    torch.save(model.state_dict(), path)
    with pytest.raises(FileFormatError, match=r"model\.pth: a file of torch\.save, .* load_state_dict"):
        other.load(path)
    other.load_state_dict(torch.load(path, weights_only=True))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in other.state_dict().items())
