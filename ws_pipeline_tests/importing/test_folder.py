"""The folder that is written: complete or not at all."""

from __future__ import annotations

from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.errors import FileAccessError
from ws_pipeline.importing import folder as folder_module
from ws_pipeline.importing.export import Export, Report
from ws_pipeline.importing.folder import write_folder


def export(gold=None, **columns):
    ids = [str(place) for place in range(60)]
    votes = pa.table({"example_id": ids, "source": ["w"] * 60, "label": ["x", "y"] * 30})
    examples = pa.table({"example_id": ids, **columns})
    report = Report(60, {"w": 60}, {"x": 30, "y": 30}, len(gold or {}))
    features = ("vector",) if "vector" in columns else ()
    return Export(examples, votes, gold or {}, ("x", "y"), features, report)


VECTORS = pa.FixedSizeListArray.from_arrays(pa.array(range(120), pa.float32()), 2)


def test_columns_with_names_that_mean_something_else_get_another(tmp_path):
    texts = {name: [name] * 60 for name in ("split", "topic", "topic_column", "text")}
    written = write_folder(export({"0": "x"}, **texts), tmp_path / "out", "topic", made_by="me")
    table = pq.read_table(tmp_path / "out/examples/part-0.parquet")
    assert table.column_names[:2] == ["example_id", "split"]
    assert table["topic"].to_pylist()[:2] == ["x", None]
    assert {name: table[name][0].as_py() for name in table.column_names[2:] if name != "topic"} == {
        "split_column": "split",
        "topic_column_column": "topic",
        "topic_column": "topic_column",
        "text": "text",
    }
    assert sum(written.splits.values()) == 60
    assert "column 'split' is called 'split_column', since 'split' has another meaning here" in written.notes


def test_features_make_an_end_model_where_every_split_has_examples(tmp_path):
    write_folder(export(vector=VECTORS), tmp_path / "without", "topic", made_by="me")
    spec = load_spec(tmp_path / "without/pipeline.yaml")
    assert (spec.model, spec.feature_columns) == (None, ["vector"])
    assert "# No example is in valid or in test" in (tmp_path / "without/pipeline.yaml").read_text()
    shares = (0.6, 0.2, 0.2)
    written = write_folder(export(vector=VECTORS), tmp_path / "with", "topic", shares=shares, made_by="me")
    assert min(written.splits.values()) > 0
    assert load_spec(tmp_path / "with/pipeline.yaml").model is not None


def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch):
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr(folder_module, "write_parquet", full)
    with pytest.raises(FileAccessError, match="out: No space left on the disk; free some"):
        write_folder(export(), tmp_path / "out", "topic", made_by="me")
    assert list(tmp_path.iterdir()) == []
