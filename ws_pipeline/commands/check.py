"""The command ``python -m ws_pipeline check``, which reads all files of a pipeline and reports every problem.

It reads as the ingestion does, with the same rules, but runs nothing and writes nothing.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from ws_pipeline.commands.across_shards import compare_shards, summarise_votes
from ws_pipeline.commands.check_text import findings_text, shards_text, task_text
from ws_pipeline.commands.findings import Findings
from ws_pipeline.commands.shard_files import read_shards
from ws_pipeline.defs.spec.pipeline_file import load_spec
from ws_pipeline.defs.spec.pipeline_spec import PipelineSpec
from ws_pipeline.defs.spec.shard_listing import doubled_files, require_shards, skipped_files
from ws_pipeline.errors import PipelineSpecError

CHECK = "check"
SPEC = "pipeline.yaml"


def main(arguments: Sequence[str]) -> int:
    """Parse the arguments behind ``check``, look at all files, print; return 1 if there is a problem."""
    parser = argparse.ArgumentParser(
        prog=f"python -m ws_pipeline {CHECK}",
        description="Read all files of a pipeline and report every problem; nothing is run or written.",
        epilog="exit status: 1 if a run would be stopped before anything is fitted, else 0, warnings or not",
    )
    parser.add_argument("pipeline", type=Path, help=f"path of a {SPEC}, or of its folder")
    findings = Findings()
    path = parser.parse_args(arguments).pipeline
    spec = findings.attempt(_load, path)
    if spec is not None:
        _look_at_files(spec, findings)
    print(findings_text(findings))
    if not findings.problems and spec is not None:
        print(f"run it:  python -m ws_pipeline {shlex.quote(spec.where)}")
    return 1 if findings.problems else 0


def _load(path: Path) -> PipelineSpec:
    if path.is_dir() and (path / SPEC).exists():
        return load_spec(path / SPEC)
    if path.is_dir() and not any(path.glob("*.y*ml")):
        message = (
            f"{path}: there is no {SPEC} in this folder; write one, or make a new folder that has one with "
            "python -m ws_pipeline new NAME"
        )
        raise PipelineSpecError(message)
    return load_spec(path)


def _look_at_files(spec: PipelineSpec, findings: Findings) -> None:
    """Read the files and print what is in them."""
    files = findings.attempt(spec.list_files)
    if files is None:
        return
    for file, reason in skipped_files(spec, files).items():
        if file not in doubled_files(files):  # which stop the run, and are a problem
            findings.warn(f"skipped {spec.origin}/{file}: {reason}")
    shards = findings.attempt(require_shards, spec, files)
    if shards is None:
        for task, of_task in spec.tasks.items():
            if of_task.labeling_functions:
                findings.attempt(spec.functions_of, task)
        return
    read = read_shards(spec, shards, findings)
    compare_shards(spec, read, findings)
    print(shards_text(spec, read))
    for task in spec.tasks:
        summary = summarise_votes(spec, task, read, findings)
        if summary is not None:
            print(f"\n{task_text(spec, task, summary)}")
