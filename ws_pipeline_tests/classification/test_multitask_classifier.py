"""Loss, predictions and scores of the classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    MultitaskClassifier,
    Operation,
    Task,
    cross_entropy_with_probs,
)
from ws_pipeline.classification.network import task as task_module
from ws_pipeline.errors import (
    DatasetError,
    DeviceError,
    MetricError,
    SettingsError,
    TaskGraphError,
    UnknownNameError,
    UnmatchedLabelsWarning,
)


def test_loss_and_gradient_equal_a_hand_written_two_head_model(model, dataset):
    model.eval()
    X_dict, Y_dict = dataset.take(slice(0, 60))
    losses, counts = model.calculate_loss(X_dict, Y_dict)
    sum(losses.values()).backward()
    ours = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    pool = model.module_pool
    linear = pool["trunk"].linear0
    hidden = torch.relu(X_dict["features"] @ linear.weight.T + linear.bias)
    expected = {
        "three": F.cross_entropy(pool["three_head"](hidden), Y_dict["three"]),
        "two": -(Y_dict["two"] * F.log_softmax(pool["two_head"](hidden), dim=1)).sum(dim=1).mean(),
    }
    sum(expected.values()).backward()
    torch.testing.assert_close(losses, expected)
    assert counts == {"three": 60, "two": 60}
    assert len(ours) == 6
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(ours[name], parameter.grad)


def test_unlabelled_rows_do_not_count(model, dataset):
    model.eval()
    X_dict, Y_dict = dataset.take(slice(0, 20))
    Y_dict["three"][::3] = -1
    Y_dict["two"][5:10] = -1.0
    losses, counts = model.calculate_loss(X_dict, Y_dict)
    kept = {"three": [i for i in range(20) if i % 3], "two": [i for i in range(20) if not 5 <= i < 10]}
    for task, rows in kept.items():
        only, _ = model.calculate_loss({"features": X_dict["features"][rows]}, {task: Y_dict[task][rows]})
        torch.testing.assert_close(losses[task], only[task])
    assert counts == {"three": 13, "two": 15}


def test_a_row_with_some_minus_ones_is_not_masked():
    body = nn.Linear(2, 2)
    seen = []

    def loss(logits, labels):
        seen.append(len(labels))
        return logits.sum() * 0

    task = Task("t", {"body": body}, [Operation("body", [("_input_", "x")])], loss_func=loss)
    labels = torch.tensor([[-1.0, 1.0], [-1.0, -1.0], [0.0, 1.0]])
    MultitaskClassifier([task], device=-1).calculate_loss({"x": torch.ones(3, 2)}, {"t": labels})
    assert seen == [2]


def test_tasks_without_a_labelled_row_are_left_out(model, dataset):
    X_dict, Y_dict = dataset.take([0, 1])
    losses, counts = model.calculate_loss(
        X_dict, {"three": torch.tensor([-1, -1]), "unknown": torch.ones(2), "two": Y_dict["two"]}
    )
    assert list(losses) == list(counts) == ["two"]
    assert model.calculate_loss(X_dict, {}) == ({}, {})


def test_a_loss_must_be_a_scalar_and_says_where_it_failed():
    pool = {"body": nn.Linear(2, 2)}
    ops = [Operation("body", [("_input_", "x")])]
    batch = {"x": torch.ones(3, 2)}, {"t": torch.tensor([0, 1, 5])}
    task = Task("t", pool, ops, loss_func=lambda logits, _: logits[:, 0])
    with pytest.raises(TaskGraphError, match=r"loss of task 't' must be a scalar, got shape \[3\]"):
        MultitaskClassifier([task], device=-1).calculate_loss(*batch)
    with pytest.raises(IndexError, match="out of bounds") as caught:
        MultitaskClassifier([Task("t", pool, ops)], device=-1).calculate_loss(*batch)
    assert caught.value.__notes__ == ["in the loss of task 't'"]


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_class_weights_reach_the_loss_of_their_task(model, dataset, kind):
    model.eval()
    X_dict, Y_dict = dataset.take(slice(0, 20))
    Y_dict["three"][::3] = -1
    weights = {"hard": {"three": torch.tensor([1.0, 2.0, 5.0])}, "soft": {"two": torch.tensor([1.0, 3.0])}}[
        kind
    ]
    plain, _ = model.calculate_loss(X_dict, Y_dict)
    losses, counts = model.calculate_loss(X_dict, Y_dict, weights)
    weighted, other = ("three", "two") if kind == "hard" else ("two", "three")
    rows = torch.tensor([i for i in range(20) if kind == "soft" or i % 3])
    logits = model(X_dict, model.tasks)[f"{weighted}_head"][rows]
    expected = F.cross_entropy(logits, Y_dict[weighted][rows], weight=weights[weighted])
    torch.testing.assert_close(losses[weighted], expected)
    assert not torch.isclose(losses[weighted], plain[weighted])
    torch.testing.assert_close(losses[other], plain[other], rtol=0, atol=0)
    assert counts == {"three": 13, "two": 20}


def test_loss_weights_are_the_trainers_work(dataset):
    ops = [Operation("body", [("_input_", "features")])]
    pool = {"body": nn.Linear(4, 3)}
    batch = dataset.take(slice(0, 9))
    losses = [
        MultitaskClassifier([Task("three", pool, ops, loss_weight=weight)], device=-1).calculate_loss(*batch)[
            0
        ]
        for weight in (1.0, 7.0)
    ]
    assert losses[0] == losses[1]


def test_class_weights_for_a_loss_that_cannot_use_them():
    ops = [Operation("body", [("_input_", "x")])]
    task = Task(
        "t",
        {"body": nn.Linear(2, 2)},
        ops,
        loss_func=lambda logits, labels: F.cross_entropy(logits, labels) * 1,
    )
    model = MultitaskClassifier([task], device=-1)
    batch = {"x": torch.ones(3, 2)}, {"t": torch.tensor([0, 1, 1])}
    assert set(model.calculate_loss(*batch, {"other": torch.ones(2)})[0]) == {"t"}
    with pytest.raises(
        TaskGraphError, match=r"task 't': its loss function '<lambda>' has no parameter 'weight'"
    ):
        model.calculate_loss(*batch, {"t": torch.ones(2)})


def test_complete_labels_are_not_searched_for_gaps(model, dataset, monkeypatch):
    """On a GPU, every look makes the processor wait."""
    expected, _ = model.eval().calculate_loss(*dataset.take(slice(0, 60)))
    X_batch, Y_batch = next(DictDataLoader(dataset, batch_size=60).batches())
    looks = []
    plain = task_module._labelled_rows
    monkeypatch.setattr(
        task_module, "_labelled_rows", lambda *arguments: looks.append(arguments) or plain(*arguments)
    )
    losses, counts = model.calculate_loss(X_batch, Y_batch)
    torch.testing.assert_close(losses, expected, rtol=0, atol=0)
    assert (looks, counts) == ([], {"three": 60, "two": 60})
    Y_batch["three"][:10] = -1
    assert model.calculate_loss(X_batch, Y_batch)[1] == {"three": 50, "two": 60}
    assert len(looks) == 1


def test_hooks_run(model, dataset):
    seen = []
    for name, module in [("model", model), *model.module_pool.items()]:
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
    model.module_pool["trunk"].register_forward_hook(lambda _module, _inputs, output: output * 0)
    losses, _ = model.calculate_loss(*dataset.take([0, 1, 2]))
    assert seen == ["trunk", "three_head", "two_head", "model"]
    bias = model.module_pool["three_head"].bias.detach()
    labels = dataset.Y_dict["three"][:3]
    torch.testing.assert_close(losses["three"].detach(), F.cross_entropy(bias.expand(3, 3), labels))
    seen.clear()
    model.predict(DictDataLoader(dataset, batch_size=60))
    assert seen == ["trunk", "three_head", "two_head", "model"]


@pytest.mark.parametrize("batch_size", [7, 60, 1000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_predict_is_a_forward_pass_in_the_datasets_order(model, dataset, batch_size, shuffle):
    model.train()
    results = model.predict(
        DictDataLoader(dataset, batch_size=batch_size, shuffle=shuffle), return_preds=True
    )
    assert all(module.training for module in model.modules())
    model.eval()
    hidden = model.module_pool["trunk"](dataset.X_dict["features"])
    for task in ("three", "two"):
        probs = torch.softmax(model.module_pool[f"{task}_head"](hidden), dim=1).detach().numpy()
        np.testing.assert_allclose(results["probs"][task], probs, rtol=1e-5)
        np.testing.assert_array_equal(results["preds"][task], probs.argmax(axis=1))
        np.testing.assert_array_equal(results["golds"][task], dataset.Y_dict[task].numpy())


def test_predict_gives_each_module_its_own_mode_back(model, dataset):
    model.train()
    model.module_pool["two_head"].eval()
    model.predict(DictDataLoader(dataset, batch_size=60))
    assert model.module_pool["trunk"].training
    assert not model.module_pool["two_head"].training


def test_predict_without_labels_covers_all_tasks(model, dataset):
    bare = DictDataset("toy", "test", dataset.X_dict)
    results = model.predict(DictDataLoader(bare, batch_size=16), return_preds=True)
    assert results["golds"] == {}
    assert {name: probs.shape for name, probs in results["probs"].items()} == {
        "three": (60, 3),
        "two": (60, 2),
    }
    assert set(results["preds"]) == {"three", "two"}
    assert "preds" not in model.predict(DictDataLoader(bare, batch_size=16))
    assert model.score([DictDataLoader(bare)]) == {}


@pytest.mark.parametrize(
    "settings", [{"sampler": [4, 2, 9]}, {"num_workers": 1}, {"drop_last": True, "shuffle": True}]
)
def test_golds_go_with_the_rows(model, dataset, settings):
    loader = DictDataLoader(dataset, batch_size=16, **settings)
    rows = settings.get("sampler", list(range(60)))
    results = model.predict(loader)
    for task in ("three", "two"):
        np.testing.assert_array_equal(results["golds"][task], dataset.Y_dict[task][rows].numpy())
        assert len(results["probs"][task]) == len(rows)


def test_golds_are_copies(model, dataset):
    before = dataset.Y_dict["three"].clone()
    model.predict(DictDataLoader(dataset, batch_size=60))["golds"]["three"][:] = 2
    assert torch.equal(dataset.Y_dict["three"], before)


def test_more_rows_than_the_dataset_has(model, dataset):
    rows = [i % 60 for i in range(1000)]
    few = model.predict(DictDataLoader(dataset, batch_size=60))
    many = model.predict(DictDataLoader(dataset, batch_size=7, sampler=rows))
    for task in ("three", "two"):
        np.testing.assert_allclose(many["probs"][task], few["probs"][task][rows], rtol=1e-5)
        np.testing.assert_array_equal(many["golds"][task], few["golds"][task][rows])


def test_a_slice_is_scored_by_its_task(model, dataset):
    """A slice's labels are the task's labels, -1 outside of it."""
    inside = dataset.X_dict["features"][:, 0] > 0
    golds = dataset.Y_dict["three"]
    sliced = torch.where(inside, golds, -1)
    data = DictDataset("toy", "test", dataset.X_dict, {"three": golds, "three:positive": sliced})
    loader = DictDataLoader(data, batch_size=16)
    scores = model.score([loader], remap_labels={"three:positive": "three"})
    preds = np.asarray(model.predict(loader, return_preds=True)["preds"]["three"])
    slices = {"positive": inside.numpy()}
    expected = model.tasks["three"].scorer.score_slices(slices, golds.numpy(), preds, None)
    assert scores == {
        f"{label}/toy/test/{metric}": value
        for label, name in (("three", "overall"), ("three:positive", "positive"))
        for metric, value in expected[name].items()
    }


def test_remap_labels(model, dataset):
    Y_dict = {
        "three": dataset.Y_dict["three"],
        "slice": dataset.Y_dict["three"],
        "extra": dataset.Y_dict["three"],
    }
    loader = DictDataLoader(DictDataset("toy", "test", dataset.X_dict, Y_dict), batch_size=60)
    assert set(model.predict(loader)["probs"]) == {"three"}
    results = model.predict(loader, remap_labels={"slice": "three", "three": None, "absent": "two"})
    assert set(results["probs"]) == set(results["golds"]) == {"slice"}
    expected = {
        f"{label}/toy/test/{metric}" for label in ("three", "slice") for metric in ("accuracy", "f1_macro")
    }
    assert set(model.score([loader], remap_labels={"slice": "three", "extra": None})) == expected
    with pytest.warns(
        UnmatchedLabelsWarning,
        match=r"Y=\[three, slice, extra\]\) has labels of no task, "
        "which are left out: extra; known are: three, two",
    ):
        assert set(model.score([loader], remap_labels={"slice": "three"})) == expected
    with pytest.raises(UnknownNameError, match="remap_labels: there is no task 'tree', did you mean 'three'"):
        model.predict(loader, remap_labels={"slice": "tree"})


def test_predict_without_a_batch(model, dataset):
    with pytest.raises(DatasetError, match="the loader gives no batch"):
        model.predict(DictDataLoader(dataset, sampler=[]))


def test_scores_are_the_scorers(model, dataset):
    golds = dataset.Y_dict["three"].clone()
    golds[::2] = -1
    labelled = DictDataset("toy", "valid", dataset.X_dict, {"three": golds, "two": dataset.Y_dict["two"]})
    loader = DictDataLoader(labelled, batch_size=16)
    preds = model.predict(loader, return_preds=True)["preds"]
    rows = np.arange(1, 60, 2)
    expected = {
        "three/toy/valid": Scorer(metrics=["accuracy", "f1_macro"]).score(
            golds.numpy()[rows], preds["three"][rows]
        ),
        "two/toy/valid": Scorer(metrics=["accuracy", "f1_macro"]).score(
            dataset.Y_dict["two"].argmax(dim=1), preds["two"]
        ),
    }
    scores = model.score([loader])
    assert scores == {
        f"{where}/{metric}": value for where, values in expected.items() for metric, value in values.items()
    }
    frame = model.score([loader], as_dataframe=True)
    assert list(frame.columns) == ["label", "dataset", "split", "metric", "score"]
    assert frame["score"].tolist() == list(scores.values())
    assert frame.iloc[0, :4].tolist() == ["three", "toy", "valid", "accuracy"]


def test_labels_nobody_has_and_undecided_rows_give_no_score(model, dataset):
    undecided = torch.full((60, 2), 0.5)
    undecided[0] = torch.tensor([0.2, 0.8])
    undecided[1] = torch.tensor([-1.0, -1.0])
    Y_dict = {"three": torch.full((60,), -1), "two": undecided}
    loader = DictDataLoader(DictDataset("toy", "valid", dataset.X_dict, Y_dict), batch_size=60)
    pred = model.predict(loader, return_preds=True)["preds"]["two"][0]
    scores = model.score([loader])
    assert set(scores) == {"two/toy/valid/accuracy", "two/toy/valid/f1_macro"}
    assert scores["two/toy/valid/accuracy"] == float(pred == 1)


def test_a_metric_that_is_not_defined_says_for_which_labels(dataset):
    ops = [Operation("body", [("_input_", "features")])]
    task = Task("three", {"body": nn.Linear(4, 3)}, ops, scorer=Scorer(metrics=["f1"]))
    with pytest.raises(MetricError, match="'f1' is for classes 0 and 1") as caught:
        MultitaskClassifier([task], device=-1).score([DictDataLoader(dataset)], remap_labels={"two": None})
    assert caught.value.__notes__[0].startswith("when scoring 'three' of DictDataset('toy', 'train'")


def test_two_loaders_of_one_dataset_name_and_split(model, dataset):
    loader = DictDataLoader(dataset, batch_size=60)
    with pytest.raises(DatasetError, match="labels 'three' of dataset 'toy', split 'train'"):
        model.score([loader, loader])


def test_custom_output_and_loss(dataset):
    body = nn.Linear(4, 3)
    task = Task(
        "three",
        {"body": body},
        [Operation("body", [("_input_", "features")])],
        loss_func=cross_entropy_with_probs,
        output_func=lambda logits: F.one_hot(logits.argmax(dim=1), 3).float(),
    )
    probs = MultitaskClassifier([task], device=-1).predict(DictDataLoader(dataset, batch_size=60))["probs"][
        "three"
    ]
    assert set(np.unique(probs)) == {0.0, 1.0}


@pytest.mark.parametrize("device", [-1, 0, "cpu", torch.device("cpu")])
def test_devices_of_a_machine_without_gpu(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    task = Task("t", {"body": nn.Linear(2, 2)}, [Operation("body", [("_input_", "x")])])
    assert MultitaskClassifier([task], device=device).device == torch.device("cpu")


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    task = Task("t", {"body": nn.Linear(2, 2)}, [Operation("body", [("_input_", "x")])])
    for device, named in ((7, "cuda:7"), ("cuda:2", "cuda:2"), ("mps", "mps"), ("tpu", "tpu")):
        with pytest.raises(DeviceError, match=f"'{named}' is not available; .* has: cpu, cuda:0, cuda:1$"):
            MultitaskClassifier([task], device=device)


def test_unknown_settings():
    task = Task("t", {"body": nn.Linear(2, 2)}, [Operation("body", [("_input_", "x")])])
    with pytest.raises(SettingsError, match="unknown key 'data_parallel', did you mean 'dataparallel'"):
        MultitaskClassifier([task], data_parallel=False)


class FakeDataParallel:
    """Stands for replicas on several GPUs; counts its calls."""

    calls = 0

    def __init__(self, module, device_ids):
        self.module, self.device_ids = module, device_ids

    def __call__(self, *arguments):
        FakeDataParallel.calls += 1
        return self.module(*arguments)


@pytest.mark.parametrize(("n_gpus", "dataparallel", "calls"), [(2, True, 1), (2, False, 0), (1, True, 0)])
def test_dataparallel_only_when_asked_and_worth_it(monkeypatch, n_gpus, dataparallel, calls):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    monkeypatch.setattr(nn, "DataParallel", FakeDataParallel)
    monkeypatch.setattr(MultitaskClassifier, "to", lambda self, _device: self)
    FakeDataParallel.calls = 0
    task = Task("t", {"body": nn.Linear(2, 2)}, [Operation("body", [("_input_", "x")])])
    model = MultitaskClassifier([task], device=0, dataparallel=dataparallel)
    model({"x": torch.ones(3, 2)}, ["t"])
    assert FakeDataParallel.calls == calls
    assert set(model.state_dict()) == {"module_pool.body.weight", "module_pool.body.bias"}


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(MultitaskClassifier, "to", lambda self, _device: self)
    monkeypatch.setattr(nn, "DataParallel", FakeDataParallel)
    FakeDataParallel.calls = 0


def test_a_file_written_over_several_gpus_is_read_without_them(make_model, tmp_path, request):
    plain = make_model(seed=2)
    request.getfixturevalue("two_gpus")
    parallel = MultitaskClassifier(list(make_model(seed=1).tasks.values()), device=0)
    parallel({"features": torch.ones(3, 4)}, ["three", "two"])
    assert FakeDataParallel.calls == 3
    parallel.save(tmp_path / "model")
    plain.load(tmp_path / "model")
    for name, tensor in plain.state_dict().items():
        assert torch.equal(tensor, parallel.state_dict()[name])


@pytest.mark.usefixtures("two_gpus")
def test_nothing_is_wrapped_twice():
    class Wrapped(FakeDataParallel, nn.Module):
        def __init__(self, module):
            nn.Module.__init__(self)
            self.module = module

        def forward(self, *arguments):
            return self.module(*arguments)

        __call__ = nn.Module.__call__

    trunk, head = Wrapped(nn.Linear(2, 2)), nn.Linear(2, 2)
    first = Task("t", {"trunk": trunk}, [Operation("trunk", [("_input_", "x")])])
    model = MultitaskClassifier([first], device=0)
    model.add_task(
        Task("u", {"trunk": trunk, "head": head}, [*first.op_sequence, Operation("head", ["trunk"])])
    )
    model({"x": torch.ones(3, 2)}, ["t", "u"])
    assert FakeDataParallel.calls == 1  # the head; the trunk came wrapped


@pytest.mark.usefixtures("two_gpus")
def test_a_module_put_into_the_pool_later_runs_itself():
    task = Task("t", {"body": nn.Linear(2, 2)}, [Operation("body", [("_input_", "x")])])
    model = MultitaskClassifier([task], device=0)
    model.module_pool["body"] = nn.Linear(2, 5)
    assert model({"x": torch.ones(3, 2)}, ["t"])["body"].shape == (3, 5)
    assert FakeDataParallel.calls == 0
