"""Settings that refuse typos."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from ws_pipeline.errors import PipelineSpecError, SettingsError
from ws_pipeline.settings.base import Settings, nearest, parse_settings


class Layer(Settings):
    width: int = 1
    dropout: float = Field(0.0, ge=0, lt=1)


class Model(Settings):
    name: str
    lr_scheduler: Literal["linear", "step"] = "step"
    layer: Layer = Layer()
    head: Layer | None = None
    by_name: dict[str, Layer] = Field(default_factory=dict)
    stack: list[Layer] = Field(default_factory=list)


def parse(**values):
    return parse_settings(Model, {"name": "m", **values}, where="model.yaml", error=PipelineSpecError)


def refusal(**values):
    with pytest.raises(PipelineSpecError) as caught:
        parse(**values)
    return str(caught.value)


def test_settings_are_built_from_nested_values():
    model = parse(layer={"width": 3}, stack=[{"dropout": 0.5}], by_name={"a": {"width": 2}})
    assert (model.layer.width, model.stack[0].dropout, model.by_name["a"].width) == (3, 0.5, 2)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        parse().name = "other"


def test_an_unknown_key_names_the_nearest_known_one():
    assert refusal(layr={}) == "model.yaml: unknown key 'layr', did you mean 'layer'?"


def test_an_unknown_key_like_no_other_names_all_known_ones():
    assert refusal(zzz=1) == (
        "model.yaml: unknown key 'zzz', known are: by_name, head, layer, lr_scheduler, name, stack"
    )


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"layer": {"widht": 3}}, "layer.widht"),
        ({"head": {"widht": 3}}, "head.widht"),
        ({"by_name": {"first": {"widht": 3}}}, "by_name.first.widht"),
        ({"stack": [{}, {"widht": 3}]}, "stack.1.widht"),
    ],
)
def test_an_unknown_nested_key_names_the_nearest_known_one(values, path):
    assert refusal(**values) == f"model.yaml: unknown key '{path}', did you mean 'width'?"


def test_an_unknown_choice_names_the_choices():
    assert refusal(lr_scheduler="cosine") == (
        "model.yaml: Unrecognized lr scheduler option 'cosine', expected 'linear' or 'step'"
    )


def test_a_value_out_of_range_is_named_with_its_path():
    assert (
        refusal(layer={"dropout": 1.5}) == "model.yaml: layer.dropout: Input should be less than 1, got 1.5"
    )


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_numbers_that_are_not_finite_are_refused(value):
    assert refusal(layer={"dropout": value}).endswith(
        f"layer.dropout: Input should be a finite number, got {value}"
    )


def test_a_missing_key_is_named():
    with pytest.raises(SettingsError, match=r"^model.yaml: missing key 'name'$"):
        parse_settings(Model, {}, where="model.yaml")


def test_every_problem_is_listed():
    message = refusal(layr={}, layer={"dropout": -1})
    assert "unknown key 'layr'" in message
    assert "layer.dropout: Input should be greater than or equal to 0, got -1" in message


def test_the_settings_are_named_when_nothing_else_is():
    with pytest.raises(SettingsError, match=r"^Layer: unknown key 'widht', did you mean 'width'\?$"):
        parse_settings(Layer, {"widht": 3})


@pytest.mark.parametrize(
    ("name", "expected"),
    [("lerning_rate", "did you mean 'learning_rate'?"), ("q", "known are: learning_rate, seed")],
)
def test_the_nearest_name_is_suggested_only_when_it_is_near(name, expected):
    assert nearest(name, ["seed", "learning_rate"]) == expected
