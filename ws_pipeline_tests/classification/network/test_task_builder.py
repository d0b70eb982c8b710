"""Tasks built by a function that the settings name."""

from __future__ import annotations

import sys
import textwrap

import pytest
import torch
from pydantic import ValidationError

from ws_pipeline.classification import ModelConfig, MultitaskClassifier
from ws_pipeline.classification.network import task_builder
from ws_pipeline.classification.network.task_builder import build_own_tasks
from ws_pipeline.errors import SettingsError, TaskGraphError

CARDINALITIES = {"a": 2, "b": 3}
MODULE = """
import torch
from torch import nn
from ws_pipeline.classification import Operation, Task, label_cross_entropy

seen = []

def build_tasks(*, n_features, cardinalities, seed, train_features, width=4):
    seen.append((n_features, cardinalities, seed, train_features))
    trunk = nn.Sequential(nn.Linear(n_features["features"], width), nn.Tanh())
    return [
        Task(task, {"trunk": trunk, f"{task}_head": nn.Linear(width, k)},
             [Operation("trunk", [("_input_", "features")]), Operation(f"{task}_head", ["trunk"])],
             loss_func=label_cross_entropy)
        for task, k in cardinalities.items()
    ]

def positional(n_features, cardinalities, seed, train_features):
    arguments = {"n_features": n_features, "cardinalities": cardinalities, "seed": seed}
    return tuple(build_tasks(train_features=None, **arguments))

def old_name(*, n_features, classes, seed, train_features):
    return build_tasks(
        n_features=n_features, cardinalities=classes, seed=seed, train_features=train_features
    )

def old_option(*, n_features, seed, train_features, classes):
    return []

def too_narrow(*, n_features, cardinalities):
    return []

def fails(**arguments):
    raise RuntimeError("out of ideas")

def gives_modules(**arguments):
    return [nn.Linear(1, 1)]

def gives_nothing(**arguments):
    return None

def forgets_a_task(*, cardinalities, **arguments):
    return build_tasks(cardinalities={"a": cardinalities["a"]}, **arguments)

def unknown_dependency(**arguments):
    import not_installed_anywhere

number = 3
"""


@pytest.fixture(autouse=True)
def networks(tmp_path, monkeypatch):
    """A module of one's own on the path."""
    (tmp_path / "my_networks.py").write_text(MODULE)
    (tmp_path / "needs_more.py").write_text("import not_installed_anywhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("my_networks", "needs_more"):
        sys.modules.pop(name, None)


def build(reference="my_networks:build_tasks", *, seed=0, train_features=None, **options):
    config = ModelConfig(build_tasks=reference, options=options)
    return build_own_tasks(
        config,
        n_features={"features": 5},
        cardinalities=CARDINALITIES,
        seed=seed,
        train_features=train_features,
    )


def weights(tasks):
    return MultitaskClassifier(tasks, device=-1).state_dict()


def test_the_function_gets_what_it_needs_and_gives_the_tasks():
    import my_networks

    features = {"features": torch.ones(7, 5)}
    tasks = build(seed=3, train_features=features, width=6)
    assert [task.name for task in tasks] == ["a", "b"]
    assert my_networks.seen == [({"features": 5}, CARDINALITIES, 3, features)]
    assert tasks[0].module_pool["trunk"][0].weight.shape == (6, 5)


def test_the_example_in_the_documentation_builds_tasks(tmp_path):
    indented = task_builder.__doc__.partition("::\n\n")[2].partition("\n\nA file of")[0]
    header = MODULE[: MODULE.index("seen = ")]
    (tmp_path / "documented.py").write_text(header + textwrap.dedent(indented))
    tasks = build("documented:build_tasks", width=6)
    outputs = MultitaskClassifier(tasks, device=-1)({"features": torch.ones(2, 5)}, CARDINALITIES)
    assert outputs["b_head"].shape == (2, 3)
    sys.modules.pop("documented")


def test_a_function_of_positional_arguments_and_a_tuple_do_as_well():
    assert [task.name for task in build("my_networks:positional")] == ["a", "b"]


def test_the_seed_decides_the_weights_and_the_callers_state_stays():
    before = torch.get_rng_state()
    first, again, other = (weights(build(seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, values in first.items():
        assert torch.equal(values, again[name])
        assert not torch.equal(values, other[name])


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (
            "no_networks:build_tasks",
            SettingsError,
            "expected package.module:function, got 'no_networks:build_tasks', .* no module 'no_networks'",
        ),
        ("my_networks.deep:f", SettingsError, "there is no module 'my_networks.deep'"),
        (
            "my_networks:build_task",
            SettingsError,
            "model.build_tasks: module 'my_networks' has no function 'build_task', did you mean 'build_tasks",
        ),
        ("my_networks:number", SettingsError, "module 'my_networks' has no function 'number'"),
        (
            "my_networks:too_narrow",
            SettingsError,
            "'my_networks:too_narrow' is called with the keywords n_features, .* unexpected .* 'seed'",
        ),
        (
            "my_networks:gives_modules",
            TaskGraphError,
            "'my_networks:gives_modules' has to return a list of Task, got list of Linear",
        ),
        ("my_networks:gives_nothing", TaskGraphError, "has to return a list of Task, got NoneType"),
        (
            "my_networks:forgets_a_task",
            TaskGraphError,
            r"'my_networks:forgets_a_task' has to return one task for each of \['a', 'b'\], got \['a'\]",
        ),
    ],
)
def test_what_does_not_work_is_said_by_the_key_of_the_pipeline_yaml(reference, error, message):
    with pytest.raises(error, match=message) as caught:
        build(reference)
    assert str(caught.value).startswith("model.build_tasks: ")


def test_an_option_that_the_function_does_not_take_is_refused():
    with pytest.raises(SettingsError, match=r"train_features, depth, .* unexpected keyword argument 'depth'"):
        build(depth=3)


def test_a_function_with_the_parameter_classes_is_told_to_rename_it():
    with pytest.raises(SettingsError) as caught:
        build("my_networks:old_name")
    assert "n_features, cardinalities, seed, train_features, which it does not take" in str(caught.value)
    assert str(caught.value).endswith("; rename the parameter classes to cardinalities")


def test_an_option_called_classes_is_not_taken_for_the_old_parameter():
    with pytest.raises(SettingsError, match=r"unexpected keyword argument 'cardinalities'$"):
        build("my_networks:old_option", classes=["x", "y"])


def test_the_functions_own_error_passes_through_with_a_note():
    with pytest.raises(RuntimeError, match="out of ideas") as caught:
        build("my_networks:fails")
    assert caught.value.__notes__ == ["in model.build_tasks, 'my_networks:fails'"]


@pytest.mark.parametrize("reference", ["needs_more:build_tasks", "my_networks:unknown_dependency"])
def test_a_module_that_the_function_itself_misses_is_not_taken_for_the_functions_own(reference):
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere") as caught:
        build(reference)
    assert caught.value.__notes__ == [f"in model.build_tasks, '{reference}'"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"build_tasks": "networks.build"}, "expected package.module:function"),
        ({"build_tasks": "../networks:build"}, "expected package.module:function"),
        ({"build_tasks": "a:b", "hidden": [3]}, "build_tasks leaves no use for hidden"),
        ({"options": {"width": 3}}, r"options \['width'\] are for build_tasks"),
    ],
)
def test_settings_that_would_be_ignored_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**settings)
