"""The committed files of data/digits: reproducible, as data/README.md says, and votes free of leaked gold."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).parent.parent / "data"
DIGITS = DATA / "digits"
TASKS = {"digit": 10, "parity": 2}
SHARDS = ("part-0", "part-1", "part-2")
FOLDERS = ("examples", "votes/digit", "votes/parity")
FILES = [f"{folder}/{shard}.parquet" for folder in FOLDERS for shard in SHARDS]


@pytest.fixture(scope="module")
def make_data():
    """The script data/digits/make_data.py as a module."""
    spec = importlib.util.spec_from_file_location("digits_make_data", DIGITS / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DIGITS))  # where the script finds labeling_functions.py
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def regenerated(make_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("digits")
    make_data.write_all(out)
    return out


def read_all(folder: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(DIGITS / folder / f"{shard}.parquet") for shard in SHARDS])


def read_votes(task: str) -> dict[str, np.ndarray]:
    table = read_all(f"votes/{task}").drop_columns(["example_id"])
    return {name: table[name].fill_null(-1).to_numpy() for name in table.column_names}


@pytest.mark.parametrize("file", FILES)
def test_script_makes_the_committed_file(regenerated, file):
    ours, theirs = regenerated / file, DIGITS / file
    if pq.read_metadata(ours).created_by == pq.read_metadata(theirs).created_by:
        assert ours.read_bytes() == theirs.read_bytes()
    else:  # another version of the writer may lay out the same table differently
        assert pq.read_table(ours).equals(pq.read_table(theirs), check_metadata=True)


def test_script_makes_no_other_file(regenerated):
    made = {path.relative_to(regenerated).as_posix() for path in regenerated.rglob("*.parquet")}
    committed = {path.relative_to(DIGITS).as_posix() for path in DIGITS.rglob("*.parquet")}
    assert made == committed == set(FILES)


def test_readme_ends_with_the_tables_that_the_script_reports(make_data):
    assert (DATA / "README.md").read_text(encoding="utf-8").strip().endswith(make_data.report().strip())


def test_examples_have_the_described_columns():
    table = read_all("examples")
    assert table.schema.equals(
        pa.schema(
            {
                "example_id": pa.int64(),
                "split": pa.string(),
                "pixels": pa.list_(pa.float32(), 64),
                "digit": pa.int8(),
                "parity": pa.int8(),
            }
        )
    )
    pixels = table["pixels"].combine_chunks().flatten().to_numpy()
    assert (pixels.min(), pixels.max()) == (0, 1)
    digit = table["digit"].to_numpy()
    assert set(digit) == set(range(10))
    assert np.array_equal(table["parity"].to_numpy(), digit % 2)


def test_example_ids_are_unique_across_shards():
    ids = read_all("examples")["example_id"].to_numpy()
    assert len(np.unique(ids)) == len(ids) == 1797


@pytest.mark.parametrize("shard", SHARDS)
def test_every_split_is_in_every_shard(shard):
    splits = pq.read_table(DIGITS / "examples" / f"{shard}.parquet")["split"].to_pylist()
    assert set(splits) == {"train", "valid", "test"}
    assert min(splits.count(split) for split in set(splits)) >= 50


def test_split_sizes():
    splits = read_all("examples")["split"].to_pylist()
    assert [splits.count(split) for split in ("train", "valid", "test")] == [1100, 250, 447]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shard", SHARDS)
def test_votes_have_the_rows_of_the_examples(task, shard):
    votes = pq.read_table(DIGITS / "votes" / task / f"{shard}.parquet")
    examples = pq.read_table(DIGITS / "examples" / f"{shard}.parquet")
    assert votes["example_id"].equals(examples["example_id"])
    assert {votes.schema.field(name).type for name in votes.column_names[1:]} == {pa.int8()}


@pytest.mark.parametrize("task", TASKS)
def test_labeling_functions_are_neither_useless_nor_perfect(task):
    gold = read_all("examples")[task].to_numpy()
    votes = read_votes(task)
    coverage = {name: (vote >= 0).mean() for name, vote in votes.items()}
    accuracy = {name: (vote == gold)[vote >= 0].mean() for name, vote in votes.items()}
    assert {name: value for name, value in coverage.items() if not 0.05 <= value <= 0.8} == {}
    assert {name: value for name, value in accuracy.items() if not 0.55 <= value <= 0.95} == {}
    assert max(accuracy.values()) - min(accuracy.values()) > 0.3
    assert max(coverage.values()) - min(coverage.values()) > 0.5


@pytest.mark.parametrize(("task", "k"), TASKS.items())
def test_labeling_functions_are_many_and_cover_every_class(task, k):
    classes = [set(vote[vote >= 0].tolist()) for vote in read_votes(task).values()]
    assert len(classes) >= 12
    assert set().union(*classes) == set(range(k))
    assert min(sum(c in voted for voted in classes) for c in range(k)) >= 2
    assert any(len(voted) == 1 for voted in classes), "no labeling function is unipolar"


@pytest.mark.parametrize("task", TASKS)
def test_votes_ignore_the_gold_of_all_but_the_prototypes(make_data, task):
    images, digits = make_data.load_images()
    prototypes = make_data.pick_prototypes(digits, make_data.draw_splits(len(digits)))
    scrambled = np.random.default_rng(0).integers(0, 10, len(digits))
    scrambled[prototypes] = digits[prototypes]
    assert (scrambled != digits).mean() > 0.8
    votes = make_data.cast_votes(task, images, scrambled, prototypes)
    committed = read_votes(task)
    assert list(votes) == list(committed)
    for name, vote in votes.items():
        assert np.array_equal(vote, committed[name]), name


@pytest.mark.parametrize("task", TASKS)
def test_votes_follow_the_gold_of_the_prototypes(make_data, task):
    images, digits = make_data.load_images()
    prototypes = make_data.pick_prototypes(digits, make_data.draw_splits(len(digits)))
    votes = make_data.cast_votes(task, images, (digits + 1) % 10, prototypes)
    committed = read_votes(task)
    moved = [name for name, vote in votes.items() if not np.array_equal(vote, committed[name])]
    assert len(moved) >= 4


def test_prototypes_are_five_train_images_of_each_digit(make_data):
    _, digits = make_data.load_images()
    splits = make_data.draw_splits(len(digits))
    prototypes = make_data.pick_prototypes(digits, splits)
    assert set(splits[prototypes]) == {"train"}
    assert np.bincount(digits[prototypes]).tolist() == [5] * 10
