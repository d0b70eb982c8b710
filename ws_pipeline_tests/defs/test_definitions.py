"""What the code location loads."""

from __future__ import annotations

import os
import runpy

import pytest

from ws_pipeline import definitions
from ws_pipeline.definitions import DEMO


@pytest.mark.parametrize("paths", ["", DEMO, f"{DEMO}{os.pathsep}", f"{os.pathsep}{DEMO}"])
def test_empty_paths_are_left_out(monkeypatch, paths):
    monkeypatch.setenv("WS_PIPELINE_SPECS", paths)
    found = runpy.run_path(definitions.__file__)
    assert [spec.name for spec in found["specs"]] == ["digits"]
