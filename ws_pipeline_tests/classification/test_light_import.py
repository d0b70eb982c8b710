"""The settings can be had without torch; the public names are complete."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

import ws_pipeline.classification as package
from ws_pipeline.classification.settings import TrainerConfig


def test_settings_import_no_torch():
    code = (
        "import sys;"
        "from ws_pipeline.classification.settings import TrainerConfig, ModelConfig, ClassifierConfig;"
        "from ws_pipeline.classification import TrainerConfig as same; assert same is TrainerConfig;"
        "print(sorted({'torch', 'pandas', 'sklearn', 'dagster'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    assert set(package.__all__) == set(package._MODULE_OF)
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name).__name__ == name


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="has no attribute 'Trainr'"):
        _ = package.Trainr


def test_settings_are_frozen_and_flat():
    with pytest.raises(ValidationError, match="frozen"):
        TrainerConfig().lr = 2.0
    for value in dict(TrainerConfig()).values():
        assert value in (None, [], {}) or isinstance(value, int | float | bool | str)
