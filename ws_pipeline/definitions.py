"""The code location: which pipelines are loaded, and where their assets are kept.

Environment variables: ``WS_PIPELINE_SPECS`` (paths of pipeline.yaml files, separated like PATH;
default the demo), ``WS_PIPELINE_STORAGE`` (folder or fsspec URL of the assets; default ``storage``
beside the package), ``WS_PIPELINE_CHECKPOINTS`` (folder or fsspec URL of the state of trainings;
default ``checkpoints`` in the storage), ``WS_PIPELINE_DEVICE`` (default auto).
"""

import os
from pathlib import Path

from ws_pipeline.defs.pipeline import build_definitions
from ws_pipeline.defs.spec.pipeline_file import load_spec

PROJECT = Path(__file__).resolve().parent.parent

DEMO = str(PROJECT / "data" / "digits" / "pipeline.yaml")

paths = os.environ.get("WS_PIPELINE_SPECS") or DEMO

specs = [load_spec(path) for path in paths.split(os.pathsep) if path]

defs = build_definitions(
    specs,
    storage=os.environ.get("WS_PIPELINE_STORAGE", str(PROJECT / "storage")),
    device=os.environ.get("WS_PIPELINE_DEVICE", "auto"),
    checkpoints=os.environ.get("WS_PIPELINE_CHECKPOINTS"),
)
