"""The command check reports every bad column of a file, whatever is wrong with the others."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import yaml


def change_spec(folder, **values):
    content = yaml.safe_load(folder.spec_path.read_text())
    folder.spec_path.write_text(yaml.safe_dump(content | values))


def replace(file, name, values):
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), file)


def test_every_bad_column_of_a_votes_file_is_reported(pipeline_folder, check):
    file = pipeline_folder.votes_file("parity", "part-1")
    replace(file, "lf_1", [7] + [None] * 119)
    replace(file, "lf_4", ["evne"] * 2 + ["odd"] * 118)
    found = check()
    assert found.status == 1
    assert found.problems == [
        (
            f"{file}: LF 'lf_1' votes 7 on example 1000, expected an integer from -1 (abstain) to 1 "
            "(cardinality=2)"
        ),
        (
            f"{file}: LF 'lf_4' has labels that are no class: 'evne' (2); null means no label; did you mean "
            "'even'? If it is no LF, list the LF columns with lf_columns"
        ),
    ]


def test_bad_columns_beside_repeated_ids_are_reported_by_their_rows(pipeline_folder, check):
    file = pipeline_folder.votes_file("parity", "part-1")
    replace(file, "example_id", [1000, 1000, *range(1002, 1120)])
    replace(file, "lf_1", [None, 7] + [None] * 118)
    found = check()
    assert found.problems == [
        f"{file}: example ids must be unique, 1 are repetitions, the first: 1000 (2 times)",
        (
            f"{file}: LF 'lf_1' votes 7 on example 1000 (row 1), expected an integer from -1 (abstain) to 1 "
            "(cardinality=2)"
        ),
    ]


def test_every_bad_column_of_an_examples_file_is_reported(pipeline_folder, check):
    file = pipeline_folder.examples_file("part-1")
    replace(file, "parity", ["evne"] * 120)
    replace(file, "shape", [0.5] + [0.0] * 119)
    pipeline_folder.edit(file, lambda columns: columns.update(length=[float("nan")] + [1.0] * 119))
    replace(file, "split", ["train"] * 119 + [None])
    found = check()
    assert len(found.problems) == 4
    assert found.problems[0].startswith(f"{file}: gold column 'parity' has labels that are no class: 'evne'")
    assert found.problems[1].startswith(f"{file}: example 1119 has split None, expected one of")
    assert found.problems[2].startswith(f"{file}: gold label of task 'shape' is 0.5 for example 1000")
    assert found.problems[3].startswith(
        f"{file}: feature column 'length' is NaN, null or infinite for exampl"
    )


def test_missing_columns_are_reported_in_each_file(pipeline_folder, check):
    change_spec(
        pipeline_folder,
        tasks={
            "shape": {"classes": ["round", "square", "star"]},
            "parity": {"classes": ["even", "odd"], "lf_columns": ["lf_0", "lf_7", "lf_8"]},
        },
    )
    examples = pipeline_folder.examples_file("part-2")
    pq.write_table(pq.read_table(examples).drop_columns("split"), examples)
    found = check()
    assert len(found.problems) == 7
    votes = pipeline_folder.votes_file("parity", "part-0")
    assert found.problems[0].startswith(
        f"{votes}: no column 'lf_7', which lf_columns lists, did you mean 'lf_"
    )
    assert found.problems[1].startswith(
        f"{votes}: no column 'lf_8', which lf_columns lists, did you mean 'lf_"
    )
    assert found.problems[4].startswith(f"{examples}: no column 'split', got ['example_id', 'features',")
    assert found.problems[4].endswith("; add it, with one of ['train', 'valid', 'test'] for every example")


def test_missing_ids_hide_nothing(pipeline_folder, check):
    file = pipeline_folder.examples_file("part-2")
    replace(file, "parity", [None, 2] + [None] * 118)
    pq.write_table(pq.read_table(file).drop_columns("example_id"), file)
    found = check()
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{file}: no column 'example_id', got ['split', 'features', 'shape',")
    assert found.problems[1].startswith(
        f"{file}: gold label of task 'parity' is 2 for example (row 1), expec"
    )


def test_a_long_file_is_read_as_such_and_one_that_is_taken_for_wide_gets_the_advice(pipeline_folder, check):
    change_spec(pipeline_folder, tasks={"parity": {"classes": ["even", "odd"]}}, model=None, trainer={})
    for number in range(3):
        rows = {
            "task": list(range(1000 * number, 1000 * number + 100)) * 2,
            "worker": ["w1"] * 100 + [f"w{number}"] * 100,
            "label": ["even", "odd"] * 100,
        }
        pq.write_table(pa.table(rows), pipeline_folder.votes_file("parity", f"part-{number}"))
    assert len(check().problems) == 3
    for number in range(3):
        file = pipeline_folder.votes_file("parity", f"part-{number}")
        pq.write_table(pq.read_table(file).rename_columns(["example_id", "worker", "label"]), file)
    found = check()
    assert len(found.problems) == 3
    assert all("set votes: {format: long} for this task" in problem for problem in found.problems)
    change_spec(pipeline_folder, tasks={"parity": {"classes": ["even", "odd"], "votes": {"format": "long"}}})
    found = check()
    assert (found.status, found.problems) == (0, [])
    assert "task parity: 3 LFs on 360 examples" in found.text
    assert any("part-1.parquet: 100 of 200 votes are repeated" in line for line in found.warnings)
