"""The settings of the label model refuse what no fit could use."""

from __future__ import annotations

import pytest

from ws_pipeline.errors import SettingsError
from ws_pipeline.settings.base import parse_settings
from ws_pipeline.settings.label_model import FitConfig


@pytest.mark.parametrize("precisions", [0.0, 1.5, [], [0.7, -0.1]])
def test_precisions_that_are_none_are_refused(precisions):
    with pytest.raises(SettingsError, match=r"prec_init: must be precisions in \(0, 1\], got ") as refused:
        parse_settings(FitConfig, {"prec_init": precisions})
    assert str(refused.value).endswith(str(precisions))


def test_a_warm_up_longer_than_the_fit_is_refused():
    with pytest.raises(SettingsError, match="warmup_steps=11 batches is 11 steps, more than the 10 steps"):
        parse_settings(FitConfig, {"n_epochs": 10, "warmup_steps": 11})
    assert FitConfig(n_epochs=10, warmup_steps=10).warmup_steps == 10
