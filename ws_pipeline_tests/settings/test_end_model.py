"""The settings of the end model: frozen, flat, and there without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from ws_pipeline.settings.trainer import TrainerConfig


@pytest.mark.parametrize(
    "module", ["settings.end_model", "settings.label_model", "settings.metric_names", "optim"]
)
def test_settings_import_no_torch(module):
    code = (
        f"import sys, ws_pipeline.{module};"
        "print(sorted({'torch', 'pandas', 'sklearn', 'dagster'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_settings_are_frozen_and_flat():
    with pytest.raises(ValidationError, match="frozen"):
        TrainerConfig().lr = 2.0
    for value in dict(TrainerConfig()).values():
        assert value in (None, [], {}) or isinstance(value, int | float | bool | str)
