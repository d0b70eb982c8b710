"""DictDataset: checks at the border, gathering, files."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from upath import UPath

from ws_pipeline.classification import DictDataset
from ws_pipeline.classification.data.dict_dataset import Labels, collate_dicts
from ws_pipeline.errors import DatasetError, FileFormatError

N = 7


def dataset(**fields: object) -> DictDataset:
    X_dict = {
        "features": torch.arange(N * 3.0).reshape(N, 3),
        "ids": torch.arange(N),
        "tokens": [[f"w{i}"] * i for i in range(N)],
        "uid": [f"id-{i}" for i in range(N)],
    }
    Y_dict = {"hard": torch.tensor([0, 1, -1, 1, 0, 2, -1]), "soft": torch.full((N, 2), 0.5)}
    return DictDataset("toy", "train", {**X_dict, **fields}, Y_dict)


@pytest.mark.parametrize(
    "rows",
    [
        [3, 0, 3],
        np.array([6, 1]),
        torch.tensor([2]),
        torch.tensor([], dtype=torch.int64),
        slice(2, 5),
        slice(0, N),
    ],
)
def test_take_is_the_items_together(rows):
    data = dataset()
    numbers = list(range(N))[rows] if isinstance(rows, slice) else [int(row) for row in rows]
    X_batch, Y_batch = data.take(rows)
    items = [data[row] for row in numbers]
    assert X_batch["tokens"] == [x["tokens"] for x, _ in items]
    assert X_batch["features"].tolist() == [x["features"].tolist() for x, _ in items]
    assert Y_batch["hard"].tolist() == [y["hard"].item() for _, y in items]
    assert Y_batch["soft"].shape == (len(numbers), 2)


@pytest.mark.parametrize("rows", [slice(0, 3), [0, 1, 2]])
def test_take_copies(rows):
    data = dataset()
    X_batch, _ = data.take(rows)
    X_batch["features"].fill_(-7)
    assert data.X_dict["features"][0, 1] == 1


def test_lists_of_tensors_are_stacked_or_filled_with_zeros():
    same = [torch.full((2, 2), float(i)) for i in range(N)]
    ragged = [torch.ones(i + 1, dtype=torch.int64) for i in range(N)]
    X_batch, _ = dataset(same=same, ragged=ragged).take([0, 2])
    assert X_batch["same"].shape == (2, 2, 2)
    assert X_batch["ragged"].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_items_collated_are_rows_taken():
    data = dataset(ragged=[torch.ones(i + 1) for i in range(N)])
    X_batch, Y_batch = collate_dicts([data[row] for row in (5, 0, 2)])
    X_rows, Y_rows = data.take([5, 0, 2])
    assert (list(X_batch), list(Y_batch)) == (list(X_rows), list(Y_rows))
    for name, values in (X_batch | Y_batch).items():
        expected = (X_rows | Y_rows)[name]
        assert torch.equal(values, expected) if isinstance(values, torch.Tensor) else values == expected


def test_tensors_that_cannot_be_joined_are_named():
    sizes = dataset(image=[torch.ones(2, i + 1) for i in range(N)])
    with pytest.raises(RuntimeError, match="equal size") as caught:
        sizes.take([0, 1])
    assert caught.value.__notes__ == ["when joining the tensors of 'image' to a batch"]


def test_which_tasks_are_complete():
    soft = torch.tensor([[0.5, 0.5], [-1.0, -1.0]])
    labels = {
        "all": torch.tensor([0, 1]),
        "some": torch.tensor([0, -1]),
        "probs": soft[:1].repeat(2, 1),
        "gap": soft,
        "odd": torch.tensor([[0.5, -1.0], [0.5, 0.5]]),  # counts as labelled, but that takes a look
    }
    data = DictDataset("toy", "train", {"x": torch.ones(2)}, labels)
    assert data.complete_tasks() == {"all", "probs"}
    data.Y_dict["all"][0] = -1
    assert data.complete_tasks() == {"probs"}


def test_labels_know_that_they_are_complete_until_they_change():
    labels = Labels({"a": torch.zeros(2), "b": torch.zeros(2), "c": torch.zeros(2)}, {"a", "b"})
    assert [labels.is_complete(task) for task in ("a", "b", "c", "d")] == [True, True, False, False]
    labels["a"][0] = -1
    labels["b"] = torch.tensor([-1.0, 0.0])
    assert not labels.is_complete("a")
    assert not labels.is_complete("b")
    with torch.inference_mode():
        assert not Labels({"a": torch.zeros(2)}, {"a"}).is_complete("a")


def test_without_labels():
    data = DictDataset("toy", "test", {"x": torch.ones(4, 2)})
    assert len(data) == 4
    assert data.take([0, 1])[1] == {}


def test_numpy_arrays_become_tensors():
    probs = np.full((3, 2), 0.5)
    probs.flags.writeable = False
    data = DictDataset("toy", "train", {"x": np.ones((3, 2), dtype=np.float32)}, {"task": probs})
    assert data.X_dict["x"].dtype == torch.float32
    assert data.Y_dict["task"].tolist() == probs.tolist()


WORDS = ["a", "bc", ""]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(WORDS), WORDS),
        (np.array(WORDS, dtype=object), WORDS),
        (np.array(WORDS, dtype="S"), [b"a", b"bc", b""]),
        (np.array([None, {"a": 1}, (2,)], dtype=object), [None, {"a": 1}, (2,)]),
        (pd.Series(WORDS), WORDS),
        (pd.Series(WORDS, dtype=object, index=[2, 0, 1]), WORDS),
        (pd.Series(WORDS, dtype="category"), WORDS),
        (pd.DataFrame({"text": WORDS}).text, WORDS),
        (pd.DataFrame({"text": WORDS}).text[::-1], WORDS[::-1]),
        (pd.Series(pd.to_datetime(["2020-01-01"] * 3)), [pd.Timestamp("2020-01-01")] * 3),
    ],
)
def test_arrays_and_series_of_objects_become_lists(values, expected):
    data = DictDataset("toy", "train", {"text": values})
    found = data.X_dict["text"]
    assert type(found) is list
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]
    assert data.take([2, 0])[0]["text"] == [expected[2], expected[0]]


@pytest.mark.parametrize("dtype", ["int8", "int64", "float32", "float64", "bool", "Int64"])
def test_numeric_series_become_tensors_as_arrays_do(dtype):
    series = pd.Series([1, 0, 1], dtype=dtype, index=[5, 3, 4])
    data = DictDataset("toy", "train", {"x": series}, {"task": series})
    expected = torch.from_numpy(np.array([1, 0, 1], dtype=dtype.lower()))
    for found in (data.X_dict["x"], data.Y_dict["task"]):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


def test_the_length_is_that_of_what_is_there_now():
    data = dataset()
    data.X_dict, data.Y_dict = {"x": torch.ones(9, 2)}, {}
    assert len(data) == 9
    data.Y_dict["task"] = torch.zeros(4)
    assert len(data) == 4
    assert "n=4" in repr(data)


class OwnFields(DictDataset):
    """Keeps its content itself, without the constructor of its class."""

    def __init__(self, X_dict, Y_dict):
        self.name, self.split, self.X_dict, self.Y_dict = "own", "train", X_dict, Y_dict


def test_a_subclass_that_sets_its_fields_itself_has_a_length():
    assert len(OwnFields({"x": ["a", "b"]}, {})) == 2
    assert len(OwnFields({"x": ["a", "b"]}, {"task": torch.zeros(2)})) == 2
    assert len(OwnFields({}, {})) == 0


def test_from_tensors():
    data = DictDataset.from_tensors(torch.ones(3, 2), torch.tensor([0, 1, 1]), "valid")
    assert (data.name, data.split) == ("SnorkelDataset", "valid")
    assert list(data.X_dict) == ["input_data"]
    assert data.Y_dict["task"].tolist() == [0, 1, 1]


ONES = torch.ones(3, 2)
NAN_ROW = torch.tensor([[0.5, 0.5], [0.5, 0.5], [float("nan"), 0.5]])


@pytest.mark.parametrize(
    ("X_dict", "Y_dict", "message"),
    [
        ({}, {}, "needs at least one field"),
        ({"x": ONES[:0]}, {}, "has no rows"),
        ({"x": ONES, "ids": [1, 2]}, {}, "'x' has 3 rows and field 'ids' has 2"),
        ({"x": ONES}, {"task": torch.zeros(4)}, "'x' has 3 rows and labels of task 'task' has 4"),
        ({"x": ONES}, {"task": [0, 1, 1]}, "labels of task 'task' must be a tensor"),
        ({"x": ONES}, {"task": torch.tensor(1)}, "labels of task 'task' must be a tensor"),
        ({"x": "abc"}, {}, "field 'x' must be a tensor"),
        ({"x": np.array([["a"], ["b"], ["c"]])}, {}, "field 'x' must be a tensor .* got .*ndarray"),
        ({"x": np.array(["2020-01-01"] * 3, dtype="M8[ns]")}, {}, "field 'x' must be a tensor"),
        ({"x": pd.DataFrame({"a": [1, 2, 3]})}, {}, "field 'x' must be a tensor .* got .*DataFrame"),
        ({"x": ONES, "text": pd.Series(["a", "b"])}, {}, "'x' has 3 rows and field 'text' has 2"),
        ({"x": ONES}, {"task": np.array(["a", "b", "c"])}, "'task' must be a tensor .* got .*ndarray"),
        ({"x": ONES}, {"task": pd.Series(["a", "b", "c"])}, "'task' must be a tensor .* got .*Series"),
        ({"x": ONES}, {"task": torch.tensor([0, -2, 1])}, "'task': hard labels .* got -2 in row 1"),
        ({"x": ONES}, {"task": NAN_ROW}, r"labels must not be NaN, got \[nan, 0.5\] in row 2"),
    ],
)
def test_what_does_not_fit_is_refused(X_dict, Y_dict, message):
    with pytest.raises(DatasetError, match=message) as caught:
        DictDataset("toy", "train", X_dict, Y_dict)
    assert "'toy' (train)" in str(caught.value)


def assert_same(left: DictDataset, right: DictDataset) -> None:
    assert (left.name, left.split, len(left)) == (right.name, right.split, len(right))
    for own, other in ((left.X_dict, right.X_dict), (left.Y_dict, right.Y_dict)):
        assert set(own) == set(other)
        for name, values in own.items():
            if isinstance(values, torch.Tensor):
                torch.testing.assert_close(values, other[name], rtol=0, atol=0)
            else:
                assert values == other[name]


@pytest.mark.parametrize("where", ["local", "memory"])
def test_save_and_load(where, tmp_path):
    path = (
        UPath("memory://datasets/toy.safetensors")
        if where == "memory"
        else tmp_path / "new" / "toy.safetensors"
    )
    half = torch.arange(N * 4.0).reshape(N, 4)
    data = dataset(
        half=half[:, ::2], same=half, prefix=torch.arange(20)[:N], numbers=[1, 2.5, None, True, "é", [], [1]]
    )
    data.save(str(path))
    assert_same(DictDataset.load(str(path)), data)
    if where == "local":
        assert [file.name for file in path.parent.iterdir()] == ["toy.safetensors"]


def test_same_content_same_bytes(tmp_path):
    """Also in other processes, with other hash seeds, and after loading."""
    code = (
        "import sys, torch; from ws_pipeline.classification import DictDataset;"
        "X = {'features': torch.arange(6.).reshape(3, 2), 'uid': ['a', 'b', 'c']};"
        "DictDataset('toy', 'train', X, {'task': torch.tensor([0, 1, -1])}).save(sys.argv[1])"
    )
    for seed in ("1", "2"):
        command = [sys.executable, "-c", code, str(tmp_path / seed)]
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)})
    DictDataset.load(tmp_path / "1").save(tmp_path / "3")
    contents = {(tmp_path / name).read_bytes() for name in "123"}
    assert len(contents) == 1


@pytest.mark.parametrize(
    "values", [[(1, 2)] * N, [{1: 2}] * N, [object()] * N, [float("nan")] * N, [torch.ones(2)] * N]
)
def test_lists_that_json_would_change_are_not_saved(values, tmp_path):
    with pytest.raises(DatasetError, match="field 'odd' cannot be saved"):
        dataset(odd=values).save(tmp_path / "toy.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_foreign_files(tmp_path):
    from safetensors.torch import save

    dataset().save(tmp_path / "good")
    whole = (tmp_path / "good").read_bytes()
    for length in (0, 4, 100, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"cut: not a complete safetensors file"):
            DictDataset.load(tmp_path / "cut")
    for metadata in (
        None,
        {"ws_pipeline": "not json"},
        {"ws_pipeline": '{"format": "x", "format_version": 1}'},
    ):
        (tmp_path / "foreign").write_bytes(save({"a": torch.ones(2)}, metadata=metadata))
        with pytest.raises(FileFormatError, match=r"foreign: expected a ws_pipeline/DictDataset file, got"):
            DictDataset.load(tmp_path / "foreign")
    newer = whole.replace(b'\\"format_version\\": 1', b'\\"format_version\\": 9')
    assert newer != whole
    (tmp_path / "newer").write_bytes(newer)
    with pytest.raises(FileFormatError, match="newer: format version 9, this release reads version 1"):
        DictDataset.load(tmp_path / "newer")
    (tmp_path / "odd").write_bytes(whole.replace(b'"Y/soft"', b'"Z/soft"'))
    with pytest.raises(FileFormatError, match="odd: not a dataset"):
        DictDataset.load(tmp_path / "odd")
    with pytest.raises(FileNotFoundError):
        DictDataset.load(tmp_path / "absent")
