"""Modules that tasks bring under one name: one object, two that can be shared, and two that cannot."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    EndModel,
    EndModelConfig,
    ModelConfig,
    MultitaskClassifier,
    Operation,
    Task,
    Trainer,
    label_cross_entropy,
    train_end_model,
)
from ws_pipeline.errors import SharedModuleWarning, TaskGraphError, UnmatchedLabelsWarning

IN = [("_input_", "x")]
X = {"x": torch.arange(12.0).reshape(6, 2)}
BOTH = (
    r"^task 't' and task 'u' have two different modules called 'body'; both use that of task 't', and that "
    r"of task 'u' is left out; put the same object into both pools, or give one another name$"
)


def task(name: str, **modules: nn.Module) -> Task:
    """A chain of all modules."""
    names = list(modules)
    inputs = [IN, *([name] for name in names)]
    ops = [Operation(module, source) for module, source in zip(names, inputs, strict=False)]
    return Task(name, modules, ops)


def linear(n_in: int = 2, n_out: int = 2) -> nn.Linear:
    return nn.Linear(n_in, n_out)


def classifier(*tasks: Task) -> MultitaskClassifier:
    return MultitaskClassifier(list(tasks), device="cpu")


def test_two_objects_of_one_name_share_the_first_and_say_so():
    first, second = task("t", body=linear()), task("u", body=linear(), head=linear(2, 3))
    kept, dropped = first.module_pool["body"], second.module_pool["body"]
    with pytest.warns(SharedModuleWarning, match=BOTH):
        model = classifier(first, second)
    assert model.module_pool["body"] is first.module_pool["body"] is second.module_pool["body"] is kept
    assert dropped not in set(model.modules())
    assert sorted(model.state_dict()) == [
        f"module_pool.{name}.{kind}" for name in ("body", "head") for kind in ("bias", "weight")
    ]
    head = second.module_pool["head"]
    torch.testing.assert_close(model(X, ["t", "u"])["head"], head(kept(X["x"])))


def test_a_task_added_later_shares_too():
    model = classifier(task("t", body=linear()))
    before = model.module_pool["body"]
    with pytest.warns(SharedModuleWarning, match=BOTH):
        model.add_task(task("u", body=linear()))
    assert model.tasks["u"].module_pool["body"] is model.module_pool["body"] is before


def test_one_object_is_shared_without_a_word():
    body = linear()
    model = classifier(task("t", body=body), task("u", body=body, head=linear()))
    assert list(model.module_pool) == ["body", "head"]


def test_both_tasks_train_the_module_that_they_share():
    """As with one object in both pools, to the last bit; also in what is saved and read again."""
    labels = {name: torch.tensor([0, 1, 1, 0, 1, 0]) for name in ("t", "u")}
    loader = DictDataLoader(DictDataset("d", "train", X, labels), batch_size=3)
    states = []
    for one_object in (True, False):
        torch.manual_seed(0)
        body, other = linear(), linear()
        tasks = [task("t", body=body), task("u", body=body if one_object else other)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if not one_object else "error")
            model = classifier(*tasks)
        Trainer(n_epochs=3, progress_bar=False).fit(model, [loader])
        states.append({name: tensor.tolist() for name, tensor in model.state_dict().items()})
    assert states[0] == states[1]


@pytest.mark.filterwarnings("ignore::ws_pipeline.errors.SharedModuleWarning")
def test_a_file_is_read_by_a_classifier_that_was_built_the_same_way(tmp_path):
    def build() -> MultitaskClassifier:
        return classifier(task("t", body=linear()), task("u", body=linear(), head=linear(2, 3)))

    saved, read = build(), build()
    saved.save(tmp_path / "model")
    read.load(tmp_path / "model")
    outputs, expected = read(X, ["t", "u"]), saved(X, ["t", "u"])
    assert all(torch.equal(outputs[name], expected[name]) for name in ("body", "head"))


class Own(nn.Linear):
    """Another class of the same shape."""


def nested(n: int) -> nn.Sequential:
    return nn.Sequential(linear(), nn.ReLU(), linear(2, n))


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (
            linear(),
            Own(2, 2),
            f"the module is Linear in one and {__name__}.Own in the other",
        ),
        (linear(), linear(2, 3), r"'weight' is of shape \[2, 2\] in one and of shape \[3, 2\] in the other"),
        (linear(), nn.Linear(2, 2, bias=False), r"'bias' is of shape \[2\] in one and nothing in the other"),
        (nested(2), nested(3), r"'2.weight' is of shape \[2, 2\] in one and of shape \[3, 2\] in the other"),
        (nested(2), nested(2)[:2], r"'2' is .*Linear in one and nothing in the other"),
        (
            nn.Sequential(linear(), nn.ReLU()),
            nn.Sequential(linear(), nn.Tanh()),
            r"'1' is .*ReLU in one and .*Tanh in the other",
        ),
        (nn.BatchNorm1d(2), nn.BatchNorm1d(3), r"'weight' is of shape \[2\] in one and of shape \[3\]"),
    ],
)
def test_modules_that_cannot_stand_for_each_other_are_refused(first, second, difference):
    message = (
        "^task 't' and task 'u' have two different modules called 'body', which cannot be shared: .*"
        f"{difference}.*; give one another name$"
    )
    tasks = [task("t", body=first), task("u", body=second)]
    with pytest.raises(TaskGraphError, match=message):
        classifier(*tasks)
    assert tasks[1].module_pool["body"] is second


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        (nn.Dropout(0.1), nn.Dropout(0.5), r"the module is Dropout\(p=0.1, .*\) in one and Dropout\(p=0.5, "),
        (
            nn.Sequential(linear(), nn.LeakyReLU(0.1)),
            nn.Sequential(linear(), nn.LeakyReLU(0.2)),
            r"'1' is LeakyReLU\(negative_slope=0.1\) in one and LeakyReLU\(negative_slope=0.2\) in the other",
        ),
        (linear(), linear().double(), "'weight' is torch.float32 in one and torch.float64 in the other"),
    ],
)
def test_settings_that_are_lost_are_named(first, second, difference):
    with pytest.warns(SharedModuleWarning, match=rf"task 'u' is left out \(note that {difference}"):
        classifier(task("t", body=first), task("u", body=second))


def test_a_tie_that_is_lost_is_named():
    body, decoder = linear(), linear()
    decoder.weight = body.weight
    message = r"\(note that 'decoder' of task 'u' was tied to it, and is not tied to the other\)"
    with pytest.warns(SharedModuleWarning, match=message):
        classifier(task("t", body=linear()), task("u", body=body, decoder=decoder))


def test_a_tie_between_two_modules_that_are_both_shared_holds():
    def tied(name: str) -> Task:
        body, decoder = linear(), linear()
        decoder.weight = body.weight
        return task(name, body=body, decoder=decoder)

    with pytest.warns(SharedModuleWarning, match="left out; put the same object") as caught:
        model = classifier(tied("t"), tied("u"))
    assert len(caught) == 2
    assert model.module_pool["body"].weight is model.module_pool["decoder"].weight


def test_modules_that_no_operation_calls_are_shared_and_compared_too():
    def with_spare(name: str, spare: nn.Module) -> Task:
        return Task(name, {"body": body, "spare": spare}, [Operation("body", IN)])

    body = linear()
    with pytest.warns(SharedModuleWarning, match="two different modules called 'spare'; both use that of"):
        classifier(with_spare("t", linear()), with_spare("u", linear()))
    with pytest.raises(TaskGraphError, match="two different modules called 'spare', which cannot be shared"):
        classifier(with_spare("t", linear()), with_spare("u", linear(2, 3)))


def test_layers_of_unknown_size_are_shared():
    with pytest.warns(SharedModuleWarning, match=BOTH):
        model = classifier(task("t", body=nn.LazyLinear(2)), task("u", body=nn.LazyLinear(2)))
    assert model(X, ["t", "u"])["body"].shape == (6, 2)


def test_a_wrapped_module_is_the_module():
    body = linear()
    model = classifier(task("t", body=nn.DataParallel(body)), task("u", body=body))
    assert isinstance(model.module_pool["body"], nn.DataParallel)


def test_a_class_made_by_a_function_is_one_class():
    def build() -> nn.Module:
        class Local(nn.Linear):
            pass

        return Local(2, 2)

    with pytest.warns(SharedModuleWarning, match=BOTH):
        classifier(task("t", body=build()), task("u", body=build()))


@pytest.mark.parametrize(
    "second", [task("u", body=linear(2, 3), new=linear(3)), task("t", new=linear()), linear()]
)
def test_a_refused_task_changes_nothing(second):
    model = classifier(task("t", body=linear()))
    before = set(model.state_dict())
    with pytest.raises(TaskGraphError):
        model.add_task(second)
    assert (set(model.tasks), set(model.state_dict())) == ({"t"}, before)


def test_a_warning_that_is_an_error_changes_nothing():
    model, second = classifier(task("t", body=linear())), task("u", body=linear(), new=linear())
    own = second.module_pool["body"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(SharedModuleWarning):
            model.add_task(second)
    assert (set(model.tasks), list(model.module_pool)) == ({"t"}, ["body"])
    assert second.module_pool["body"] is own


def test_what_is_no_task_is_named():
    with pytest.raises(TaskGraphError, match="expected a Task, got Linear"):
        classifier(linear())


def test_a_pool_that_two_tasks_have_may_grow_until_they_are_joined():
    """As helpers do that add a head to one pool for each of several tasks."""
    pool, tasks = nn.ModuleDict({"body": linear()}), []
    for name in ("t", "u"):
        pool[name] = linear()
        tasks.append(Task(name, pool, [Operation("body", IN), Operation(name, ["body"])]))
    assert tasks[0].module_pool is pool
    assert list(classifier(*tasks).module_pool) == ["body", "t", "u"]


def two_trunks(*, n_features, cardinalities, **_settings):
    """What a pipeline.yaml may name: each task has a trunk of its own, under the same name."""
    return [
        Task(
            name,
            {"trunk": linear(n_features["features"], 4), f"{name}_head": linear(4, k)},
            [Operation("trunk", [("_input_", "features")]), Operation(f"{name}_head", ["trunk"])],
            loss_func=label_cross_entropy,
        )
        for name, k in cardinalities.items()
    ]


def test_an_end_model_of_such_tasks_is_saved_and_read(tmp_path, make_dataset):
    architecture = ModelConfig(build_tasks=f"{__name__}:two_trunks")
    cardinalities, settings = {"three": 3, "two": 2}, EndModelConfig(n_epochs=2)
    with pytest.warns(SharedModuleWarning, match="task 'three' and task 'two' .* called 'trunk'; both use"):
        model = train_end_model(
            make_dataset(), cardinalities=cardinalities, architecture=architecture, settings=settings
        )
    model.save(tmp_path / "model")
    with pytest.warns(SharedModuleWarning, match="task 'three' and task 'two' .* called 'trunk'; both use"):
        read = EndModel.load(tmp_path / "model", architecture=architecture)
    features = make_dataset(seed=1).X_dict["features"].numpy()
    for task_name, expected in model.predict_proba(features).items():
        assert (read.predict_proba(features)[task_name] == expected).all()


def test_a_module_put_into_the_pool_by_hand_is_shared_by_later_tasks():
    model = classifier(task("t", body=linear()))
    model.module_pool["head"] = linear()
    with pytest.warns(SharedModuleWarning, match="^the classifier and task 'u' have .* 'head'; both use"):
        model.add_task(task("u", head=linear()))


def test_a_classifier_starts_without_tasks(tmp_path):
    model = MultitaskClassifier([], device="cpu")
    assert (model.task_names, dict(model.op_sequences), dict(model(X, []))) == (set(), {}, {"_input_": X})
    data = DictDataset("d", "test", X, {"t": torch.zeros(6, dtype=torch.int64)})
    with pytest.warns(UnmatchedLabelsWarning, match="left out: t; the classifier has no task"):
        assert model.score([DictDataLoader(data)]) == {}
    model.save(tmp_path / "empty")
    model.load(tmp_path / "empty")
    first = task("t", body=linear())
    model.add_task(first)
    torch.testing.assert_close(model(X, ["t"])["body"], first.module_pool["body"](X["x"]))
    train = DictDataset("d", "train", X, data.Y_dict)
    Trainer(n_epochs=1, progress_bar=False).fit(model, [DictDataLoader(train)])
    assert set(model.score([DictDataLoader(data)])) == {"t/d/test/accuracy"}
