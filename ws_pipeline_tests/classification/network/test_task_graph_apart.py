"""Operations of one name in several tasks: equal ones run once, others run for each task."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import nn

from ws_pipeline.classification import DictDataLoader, DictDataset, MultitaskClassifier, Operation, Task
from ws_pipeline.errors import UnknownNameError

N = 6
X = {"x": torch.arange(2.0 * N).reshape(N, 2), "z": torch.ones(N, 2)}


class Times(nn.Module):
    """Multiplies, and counts its calls; a list of numbers instead of a random layer."""

    def __init__(self, *factors: float) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor(factors))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.factors


class Total(nn.Module):
    """Adds up all that it sees but the input, and keeps the names of it."""

    def forward(self, outputs):
        self.seen = sorted(name for name in outputs if name != "_input_")
        return sum(outputs[name] for name in self.seen)


def classifier(*tasks: Task) -> MultitaskClassifier:
    return MultitaskClassifier(list(tasks), device="cpu")


def task(name: str, pool: dict[str, nn.Module], *operations: Operation) -> Task:
    used = {operation.module_name for operation in operations}
    return Task(name, {key: module for key, module in pool.items() if key in used}, operations)


def operation(module: str, source: str, name: str) -> Operation:
    return Operation(module, [("_input_", source)] if source in X else [source], name=name)


@pytest.fixture
def pool() -> dict[str, nn.Module]:
    return {"a": Times(2.0, 3.0), "b": Times(5.0, 7.0), "c": Times(-1.0, 1.0)}


def calls(pool: dict[str, nn.Module]) -> dict[str, int]:
    return {name: module.calls for name, module in pool.items()}


@pytest.mark.parametrize(
    ("other", "expected", "n_calls"),
    [
        (("b", "x"), X["x"] * torch.tensor([5.0, 7.0]), {"a": 1, "b": 1, "c": 0}),
        (("a", "z"), X["z"] * torch.tensor([2.0, 3.0]), {"a": 2, "b": 0, "c": 0}),
    ],
)
@pytest.mark.parametrize("asked", [["t", "u"], ["u", "t"], ["u"], ["t"]])
def test_another_module_or_another_input_is_another_operation(pool, other, expected, n_calls, asked):
    model = classifier(task("t", pool, operation("a", "x", "op")), task("u", pool, operation(*other, "op")))
    outputs = model(X, asked)
    if len(asked) == 1:
        found = {asked[0]: outputs["op"]}
    else:
        found = {name: outputs[name, "op"] for name in asked}
        assert calls(pool) == n_calls
    values = {"t": X["x"] * torch.tensor([2.0, 3.0]), "u": expected}
    for name in asked:
        torch.testing.assert_close(found[name], values[name])


def test_a_name_that_means_two_things_cannot_be_read_by_mistake(pool):
    model = classifier(task("t", pool, operation("a", "x", "op")), task("u", pool, operation("b", "x", "op")))
    outputs = model(X, ["t", "u"])
    assert set(outputs) == {"_input_", ("t", "op"), ("u", "op")}
    message = r"operation 'op' is not the same in tasks t, u; .* such as outputs\[\('t', 'op'\)\]$"
    with pytest.raises(UnknownNameError, match=message):
        outputs["op"]
    with pytest.raises(KeyError, match=r"^'nothing'$"):
        outputs["nothing"]


def test_what_operations_read_counts_down_to_the_input(pool):
    """ "head" is written alike in both tasks, but the "body" that it reads is not."""
    model = classifier(
        task("t", pool, operation("a", "x", "body"), operation("c", "body", "head")),
        task("u", pool, operation("b", "x", "body"), operation("c", "body", "head")),
        task("v", pool, operation("b", "x", "body"), operation("c", "body", "head")),
    )
    outputs = model(X, ["t", "u", "v"])
    assert calls(pool) == {"a": 1, "b": 1, "c": 2}
    last = torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(outputs["t", "head"], X["x"] * torch.tensor([2.0, 3.0]) * last)
    for name in ("u", "v"):
        torch.testing.assert_close(outputs[name, "head"], X["x"] * torch.tensor([5.0, 7.0]) * last)
    assert outputs["u", "head"] is outputs["v", "head"]


def test_the_order_of_inputs_and_their_fields_count():
    class Minus(nn.Module):
        def forward(self, left, right):
            return left - right

    class Pair(nn.Module):
        def forward(self, x):
            return x, 10 * x

    pool = {"pair": Pair(), "minus": Minus()}
    pair = Operation("pair", [("_input_", "x")])
    inputs = {
        "t": [("pair", 0), ("pair", 1)],
        "u": [("pair", 1), ("pair", 0)],
        "v": [("pair", 0), ("pair", 0)],
    }
    model = classifier(*(task(name, pool, pair, Operation("minus", read)) for name, read in inputs.items()))
    outputs = model(X, inputs)
    for name, factor in (("t", -9), ("u", 9), ("v", 0)):
        torch.testing.assert_close(outputs[name, "minus"], factor * X["x"])


def test_equal_operations_run_once_whatever_follows_them(pool):
    model = classifier(
        task("t", pool, operation("a", "x", "body"), operation("b", "body", "head")),
        task("u", pool, operation("a", "x", "body"), operation("c", "body", "head")),
    )
    outputs = model(X, ["t", "u"])
    assert calls(pool) == {"a": 1, "b": 1, "c": 1}
    assert set(outputs) == {"_input_", "body", ("t", "head"), ("u", "head")}


def test_a_module_that_reads_everything_sees_its_own_task_alone(pool):
    """So its output does not depend on which tasks are computed beside it."""
    pool |= {"total": Total()}
    total = Operation("total", [], name="sum")
    model = classifier(
        task("t", pool, operation("a", "x", "op"), total),
        task(
            "u",
            pool,
            operation("b", "x", "op"),
            operation("c", "x", "more"),
            total,
        ),
        task("v", pool, operation("a", "x", "op"), total),
    )
    together = model(X, ["t", "u", "v"])
    assert together["t", "sum"] is together["v", "sum"]
    torch.testing.assert_close(together["t", "sum"], X["x"] * torch.tensor([2.0, 3.0]))
    torch.testing.assert_close(together["u", "sum"], X["x"] * torch.tensor([4.0, 8.0]))
    for name in ("t", "u", "v"):
        torch.testing.assert_close(model(X, [name])["sum"], together[name, "sum"])
    model(X, ["t", "u"])
    assert pool["total"].seen == ["more", "op"]


def test_a_module_that_reads_what_its_task_does_not_compute_is_told(pool):
    class Reader(nn.Module):
        def forward(self, outputs):
            return outputs["bod"]

    pool |= {"reader": Reader()}
    model = classifier(
        task("t", pool, operation("a", "x", "bod")),
        task("u", pool, operation("b", "x", "body"), Operation("reader", [])),
    )
    message = "operation 'reader' reads 'bod', which its task does not compute before it, did you mean 'body'"
    with pytest.raises(UnknownNameError, match=message):
        model(X, ["t", "u"])


def build(names: list[str]) -> MultitaskClassifier:
    torch.manual_seed(0)
    heads = {"first": nn.Linear(2, 2), "second": nn.Linear(2, 3)}
    return classifier(
        *(
            Task(task_name, {module: head}, [Operation(module, [("_input_", field)], name=name)])
            for task_name, (module, head), field, name in zip("tu", heads.items(), "xz", names, strict=True)
        )
    )


def test_losses_predictions_and_scores_are_those_of_different_names():
    labels = {"t": torch.tensor([0, 1, 1, 0, 1, -1]), "u": torch.tensor([2, 0, 1, 1, 2, 2])}
    loader = DictDataLoader(DictDataset("d", "test", X, labels), batch_size=4)
    same, apart = build(["head", "head"]), build(["first", "second"])
    losses, counts = same.calculate_loss(X, labels)
    expected, expected_counts = apart.calculate_loss(X, labels)
    assert ({name: loss.item() for name, loss in losses.items()}, counts) == (
        {name: loss.item() for name, loss in expected.items()},
        expected_counts,
    )
    for name in ("t", "u"):
        assert torch.equal(same.predict(loader)["probs"][name], apart.predict(loader)["probs"][name])
    assert same.score([loader]) == apart.score([loader])


def test_a_file_and_a_copy_keep_the_operations_apart(tmp_path):
    saved, read = build(["head", "head"]), build(["head", "head"])
    with torch.no_grad():
        saved.module_pool["second"].bias += 1
    saved.save(tmp_path / "model")
    read.load(tmp_path / "model")
    expected = saved(X, ["t", "u"])
    for model in (read, copy.deepcopy(saved)):
        outputs = model(X, ["t", "u"])
        assert all(torch.equal(outputs[name, "head"], expected[name, "head"]) for name in ("t", "u"))


def test_over_several_gpus_every_operation_still_calls_its_own_module(monkeypatch):
    used: Counter[nn.Module] = Counter()

    class Replicas:
        def __init__(self, module, device_ids):
            self.module, self.device_ids = module, device_ids

        def __call__(self, *arguments):
            used[self.module] += 1
            return self.module(*arguments)

    expected = build(["head", "head"])(X, ["t", "u"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(MultitaskClassifier, "to", lambda self, _device: self)
    monkeypatch.setattr(nn, "DataParallel", Replicas)
    model = MultitaskClassifier(list(build(["head", "head"]).tasks.values()), device=0)
    outputs = model(X, ["t", "u"])
    assert used == {model.module_pool["first"]: 1, model.module_pool["second"]: 1}
    assert all(torch.equal(outputs[name, "head"], expected[name, "head"]) for name in ("t", "u"))
    assert set(model.state_dict()) == {
        f"module_pool.{name}.{kind}" for name in ("first", "second") for kind in ("weight", "bias")
    }


def test_a_forward_pass_of_ones_own_may_return_a_plain_dict(pool):
    class Own(MultitaskClassifier):
        def forward(self, X_dict, task_names):
            return dict(super().forward(X_dict, task_names))

    labels = {"t": torch.tensor([0, 1, 1, 0, 1, 0])}
    model = Own([task("t", pool, operation("a", "x", "op"))], device="cpu")
    losses, _ = model.calculate_loss(X, labels)
    torch.testing.assert_close(losses["t"], nn.functional.cross_entropy(pool["a"](X["x"]), labels["t"]))


def test_operations_that_change_are_planned_again(pool):
    model = classifier(task("t", pool, operation("a", "x", "op")))
    model(X, ["t"])
    model.tasks["t"].op_sequence[0].inputs = (("_input_", "z"),)
    torch.testing.assert_close(model(X, ["t"])["op"], X["z"] * torch.tensor([2.0, 3.0]))
    model.tasks["t"].op_sequence.append(operation("a", "op", "again"))
    torch.testing.assert_close(model(X, ["t"])["again"], X["z"] * torch.tensor([4.0, 9.0]))
