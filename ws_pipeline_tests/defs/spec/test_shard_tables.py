"""Shards in CSV, TSV and JSON Lines: typed by the pipeline.yaml, and mixed with Parquet."""

import json

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from ws_pipeline.cli import main
from ws_pipeline.defs.assets.ingest import read_votes
from ws_pipeline.defs.automation.shard_state import examples_fingerprint, shard_changes, shard_fingerprints
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.shard_listing import require_shards, skipped_files
from ws_pipeline.defs.spec.shard_tables import examples_file
from ws_pipeline.errors import FileFormatError, InvalidInputError, LabelMatrixError, PipelineSpecError

TASKS = {"spam": {"classes": ["ham", "spam"]}}
EXAMPLES = "example_id,split,text,price,spam\n1,train,007,0.5,\n2,valid,x,1e1,ham\n3,test,,2,1\n"
VOTES = "example_id,first,second\n1,spam,0\n2,,1.0\n3,-1,\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "examples").mkdir()
    (tmp_path / "votes" / "spam").mkdir(parents=True)
    (tmp_path / "examples" / "a.csv").write_text(EXAMPLES)
    (tmp_path / "votes" / "spam" / "a.csv").write_text(VOTES)
    return tmp_path


def load(folder, **keys):
    content = {"name": "mail", "tasks": TASKS, **keys}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(content))
    return load_spec(folder / "pipeline.yaml")


def examples(spec):
    return examples_file(spec, "a").read().to_pydict()


def votes(spec):
    return read_votes(
        spec.votes_path("spam", "a"), spec.tasks["spam"], tasks=spec.tasks, types=spec.column_types
    )


def test_a_csv_file_is_text_but_for_what_the_spec_says(folder):
    plain = examples(load(folder))
    assert plain == {
        "example_id": ["1", "2", "3"],
        "split": ["train", "valid", "test"],
        "text": ["007", "x", None],
        "price": ["0.5", "1e1", "2"],
        "spam": [None, "ham", "spam"],
    }
    assert examples(load(folder, feature_columns=["price"]))["price"] == [0.5, 10.0, 2.0]
    typed = examples(load(folder, column_types={"price": "number", "example_id": "integer"}))
    assert (typed["example_id"], typed["price"], typed["text"]) == (
        [1, 2, 3],
        [0.5, 10.0, 2.0],
        plain["text"],
    )


def test_votes_are_names_or_places_and_empty_is_an_abstain(folder):
    found = votes(load(folder))
    assert found.example_ids.tolist() == ["1", "2", "3"]
    assert found.lf_names == ("first", "second")
    assert found.votes.tolist() == [[1, 0], [-1, 1], [-1, -1]]
    assert votes(load(folder, column_types={"example_id": "integer"})).example_ids.tolist() == [1, 2, 3]


def test_a_number_is_a_name_where_classes_are_called_by_numbers(folder):
    (folder / "votes" / "spam" / "a.csv").write_text("example_id,x\n1,1\n2,3.0\n3,-1\n")
    assert votes(load(folder, tasks={"spam": {"classes": ["3", "1"]}})).votes[:, 0].tolist() == [1, 0, -1]
    (folder / "votes" / "spam" / "a.csv").write_text("example_id,x\n1,1\n2,0\n")
    with pytest.raises(FileFormatError) as refused:
        votes(load(folder, tasks={"spam": {"classes": ["3", "1"]}}))
    assert str(refused.value) == (
        f"{folder / 'votes' / 'spam' / 'a.csv'}: line 3, column 'x': found '0', expected the name of a class "
        "('3', '1'); empty or -1 for none; correct the value; or list the LF columns with lf_columns, if the "
        "column is no LF"
    )


def test_long_votes_of_a_csv_file(folder):
    long = {"spam": {"classes": ["ham", "spam"], "votes": {"format": "long"}}}
    (folder / "votes" / "spam" / "a.csv").write_text("task,worker,label,note\n1,w,ham,x\n2,v,1,y\n1,v,,z\n")
    found = votes(load(folder, tasks=long))
    assert (found.example_ids.tolist(), found.lf_names) == (["1", "2"], ("v", "w"))
    assert np.asarray(found).tolist() == [[-1, 0], [1, -1]]
    (folder / "votes" / "spam" / "a.csv").write_text('task,worker,label\n1,"w\nx",ham\n2,v,2\n')
    with pytest.raises(
        FileFormatError, match=r"a.csv: line 4, column 'label': found '2', expected the name of"
    ):
        votes(load(folder, tasks=long))


def test_columns_that_are_no_votes_are_told_before_their_values(folder):
    (folder / "votes" / "spam" / "a.csv").write_text("example_id,first,split\n1,spam,train\n")
    with pytest.raises(LabelMatrixError, match=r"a.csv: by its name, 'split' is no LF"):
        votes(load(folder))
    listed = {"spam": {**TASKS["spam"], "lf_columns": ["first"]}}
    assert votes(load(folder, tasks=listed)).lf_names == ("first",)


def test_an_index_of_pandas_is_left_out_with_one_warning(folder):
    (folder / "votes" / "spam" / "a.csv").write_text(",example_id,first\n0,1,spam\n7,2,ham\n")
    with pytest.warns(UserWarning, match=r"a.csv: column\(s\) \[''\] left out") as warned:
        assert votes(load(folder)).votes.tolist() == [[1], [0]]
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"feature_columns": ["text"]}, "line 3, column 'text': found 'x', expected a number such as 0.5"),
        (
            {"column_types": {"price": "integer"}},
            "line 2, column 'price': found '0.5', expected a whole number",
        ),
        (
            {"column_types": {"prize": "number"}},
            "no column 'prize', which column_types names; the file has [",
        ),
        (
            {"tasks": {"spam": {"classes": ["a", "b"]}}},
            "line 3, column 'spam': found 'ham', expected the name of",
        ),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_line(folder, keys, said):
    with pytest.raises(FileFormatError) as refused:
        examples(load(folder, **keys))
    assert str(refused.value).startswith(f"{folder / 'examples' / 'a.csv'}: {said}")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"column_types": {"spam": "integer"}},
            "column 'spam' holds the splits or the gold labels of a task",
        ),
        (
            {"column_types": {"example_id": "number"}},
            "column 'example_id' holds the ids, which are text or integer",
        ),
        ({"column_types": {"x": "float"}}, "'float', expected 'text', 'integer', 'number' or 'boolean'"),
        (
            {"column_types": {"price": "text"}, "feature_columns": ["price"]},
            "column 'price' is listed in feature_columns, so it holds numbers, got 'text'",
        ),
        (
            {"column_types": {"text": "number"}, "features": {"text": {"kind": "tfidf_svd"}}},
            "column 'text' is among the features as text, got 'number'",
        ),
    ],
)
def test_types_that_a_column_cannot_have_are_refused(folder, keys, said):
    with pytest.raises(PipelineSpecError) as refused:
        load(folder, **keys)
    assert said in str(refused.value)


def test_a_folder_of_csv_files_is_one_shard_and_its_errors_name_the_file(folder):
    (folder / "examples" / "a.csv").unlink()
    parts = folder / "examples" / "a.csv"
    parts.mkdir()
    (parts / "part-1.csv").write_text("example_id,split,price\n2,valid,2\n")
    (parts / "part-0.csv").write_text("example_id,split,price\n1,train,1\n")
    (parts / "_SUCCESS").touch()
    spec = load(folder, feature_columns=["price"])
    assert spec.find_shards() == ["a"]
    before = shard_fingerprints(spec, spec.list_files(), ["a"])["a"]
    assert before.startswith(examples_fingerprint(spec, "a"))
    assert examples(spec) == {"example_id": ["1", "2"], "split": ["train", "valid"], "price": [1.0, 2.0]}
    (parts / "part-1.csv").write_text("example_id,split,price\n2,valid,x\n")
    with pytest.raises(FileFormatError, match=r"a.csv/part-1.csv: line 2, column 'price': found 'x'"):
        examples(spec)
    assert shard_fingerprints(spec, spec.list_files(), ["a"])["a"] != before


def test_two_files_of_one_shard_are_refused_by_name(folder, capsys):
    (folder / "examples" / "a.jsonl").write_text('{"example_id": "1", "split": "train"}\n')
    spec = load(folder)
    reason = "shard 'a' has several files, a.csv and a.jsonl; keep one of them"
    assert spec.find_shards() == []
    assert skipped_files(spec) == {"examples/a.csv": reason, "examples/a.jsonl": reason}
    with pytest.raises(InvalidInputError) as refused:
        require_shards(spec)
    assert str(refused.value) == f"{folder / 'examples' / 'a.csv'}: {reason}"
    with pytest.raises(PipelineSpecError) as refused:
        spec.examples_path("a")
    assert str(refused.value) == f"{folder / 'examples'}: {reason}"
    assert main(["check", str(folder)]) == 1
    assert f"1 problem\n  - {folder / 'examples' / 'a.csv'}: {reason}" in capsys.readouterr().out


def test_a_partition_with_two_files_is_neither_lost_nor_gone(folder):
    for kind in ("examples", "votes/spam"):
        (folder / kind / "b.csv").write_bytes((folder / kind / "a.csv").read_bytes())
    (folder / "examples" / "a.tsv").touch()
    spec = load(folder)
    changes = shard_changes(spec, spec.list_files(), ["a", "b"])
    assert (changes.new, changes.incomplete, changes.gone) == ([], {}, [])
    assert changes.doubled == {
        "a": "shard 'a' has several files, examples/a.csv and examples/a.tsv; keep one of them"
    }


def test_the_types_are_part_of_what_a_shard_was_read_with(folder):
    plain, typed = load(folder), load(folder, column_types={"price": "number"})
    ids = load(folder, column_types={"example_id": "integer"})
    now = shard_fingerprints(plain, plain.list_files(), ["a"])["a"].split("-")
    for spec, changed in ((typed, [True, False]), (ids, [True, True])):
        other = shard_fingerprints(spec, spec.list_files(), ["a"])["a"].split("-")
        assert [a != b for a, b in zip(now, other, strict=True)] == changed


def test_a_missing_file_is_expected_with_the_ending_of_the_others(folder):
    (folder / "votes" / "spam" / "a.csv").unlink()
    assert skipped_files(load(folder)) == {
        "examples/a.csv": "the shard is not complete, missing votes/spam/a.csv"
    }


def write_as(table, file):
    """Write a table as text in the way of the file's ending; lists as one column per number."""
    frame = table.to_pandas()
    if file.suffix == ".jsonl":
        frame.to_json(file, orient="records", lines=True)
    else:
        frame.to_csv(file, sep="\t" if ".tsv" in file.suffixes else ",", index=False)


def test_a_pipeline_gives_the_same_from_every_form(pipeline_folder, tmp_path):
    """Examples and votes as CSV, TSV and JSON Lines beside Parquet; votes written as 1.0 by pandas."""
    names = [f"f{i}" for i in range(10)]
    for shard in ("part-0", "part-1", "part-2"):
        file = pipeline_folder.examples_file(shard)
        table = pq.read_table(file)
        matrix = np.stack(table["features"].to_pylist())
        table = table.drop_columns("features")
        for i in range(matrix.shape[1]):
            table = table.append_column(names[i], [matrix[:, i].astype(np.float64)])
        pq.write_table(table, file)
    names = names[: matrix.shape[1]]
    content = yaml.safe_load(pipeline_folder.spec_path.read_text())
    content |= {"feature_columns": names, "column_types": {"example_id": "integer"}}
    pipeline_folder.spec_path.write_text(yaml.safe_dump(content))
    kept = {}
    for round_, endings in enumerate([(".parquet",) * 3, (".csv", ".jsonl", ".tsv.gz")]):
        for shard, ending in zip(("part-0", "part-1", "part-2"), endings, strict=True):
            for file in pipeline_folder.root.rglob(f"{shard}.parquet"):
                if ending != ".parquet":
                    write_as(pq.read_table(file), file.with_name(f"{shard}{ending}"))
                    file.unlink()
        storage = tmp_path / f"storage-{round_}"
        with dg.DagsterInstance.ephemeral():
            assert main([str(pipeline_folder.spec_path), "--storage", str(storage)]) == 0
        kept[round_] = {
            str(file.relative_to(storage)): file.read_bytes() for file in storage.rglob("*.parquet")
        }
    assert kept[0].keys() == kept[1].keys()
    assert {name for name in kept[0] if kept[0][name] != kept[1][name]} == set()


def test_lists_of_gold_labels_in_a_csv_file_are_refused(folder):
    tasks = {"text": {"classes": ["a", "b", "c"], "multi_label": True}}
    with pytest.raises(FileFormatError, match=r"a.csv: column 'text' holds gold labels of a multi-label"):
        examples(load(folder, tasks=tasks))


def test_lists_of_votes_and_of_gold_labels_in_json_lines(folder):
    for file in folder.rglob("a.csv"):
        file.unlink()
    (folder / "votes" / "topic").mkdir()
    rows = [{"example_id": "1", "split": "train", "topic": ["a"]}, {"example_id": "2", "split": "train"}]
    votes = [{"example_id": "1", "lf": ["a", "b"]}, {"example_id": "2", "lf": []}]
    for place, lines in (("examples", rows), ("votes/topic", votes)):
        (folder / place / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = load(folder, tasks={"topic": {"classes": ["a", "b", "c"], "multi_label": True}}, model=None)
    assert examples(spec)["topic"] == [["a"], None]
    found = {
        task: read_votes(spec.votes_path(task, "a"), spec.tasks[task], tasks=spec.tasks).votes.tolist()
        for task in spec.tasks
    }
    assert found == {"topic_a": [[1], [0]], "topic_b": [[1], [0]], "topic_c": [[0], [0]]}
