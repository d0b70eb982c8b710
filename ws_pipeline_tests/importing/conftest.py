"""An export in a file is imported by the command, and read again with the readers of the pipeline."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ws_pipeline.cli import main
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.example_index import ExampleIndex
from ws_pipeline.labeling.votes.long_votes import read_long_votes
from ws_pipeline.settings.votes import VoteColumns

TASK = "topic"


@dataclass
class Imported:
    """What the command said and wrote."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def spec(self):
        return load_spec(self.folder / "pipeline.yaml")

    @property
    def classes(self):
        return self.spec.tasks[TASK].classes

    @property
    def examples(self):
        return pq.read_table(self.folder / "examples/part-0.parquet")

    @property
    def matrix(self):
        task = self.spec.tasks[TASK]
        return read_long_votes(
            pq.read_table(self.folder / f"votes/{TASK}/part-0.parquet"),
            task.cardinality,
            columns=VoteColumns(**task.votes.columns.model_dump()),
            classes=task.classes,
            lf_columns=task.lf_columns,
            tasks=[TASK],
        )

    @property
    def votes(self):
        """Example id to source to class."""
        matrix = self.matrix
        return {
            example: {
                lf: self.classes[vote]
                for lf, vote in zip(matrix.lf_names, row.tolist(), strict=True)
                if vote >= 0
            }
            for example, row in zip(matrix.example_ids.tolist(), matrix.votes, strict=True)
        }

    @property
    def index(self):
        k = len(self.classes)
        return ExampleIndex.from_table(self.examples, {TASK: k}, classes={TASK: self.classes})

    @property
    def gold(self):
        """Example id to class."""
        index = self.index
        pairs = zip(index.example_ids.tolist(), index.gold[TASK].tolist(), strict=True)
        return {example: self.classes[label] for example, label in pairs if label >= 0}


@pytest.fixture
def import_it(tmp_path, capsys):
    """Import files, by their names and contents, into a fresh folder."""

    def run(name, files, *options, out="imported"):
        place = tmp_path / "export"
        shutil.rmtree(place, ignore_errors=True)
        for file, content in files.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            write(place / file, content)
        path = place / next(iter(files)) if len(files) == 1 else place
        folder = tmp_path / out
        status = main(["import", name, str(path), "--task", TASK, "--out", str(folder), *options])
        said = capsys.readouterr()
        return Imported(status, said.out, said.err.replace(f"{place}/", ""), folder)

    return run


def write(file, content):
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, str):
        file.write_text(content, encoding="utf-8")
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(line) + "\n" for line in content), encoding="utf-8")
    elif file.suffix == ".parquet":
        pq.write_table(content, file)
    else:
        file.write_text(json.dumps(content), encoding="utf-8")
