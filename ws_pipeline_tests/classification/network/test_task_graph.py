"""Tasks and operations: what runs, how often, and what is refused."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial

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
    label_cross_entropy,
)
from ws_pipeline.errors import OperationError, TaskGraphError

X = {"x": torch.arange(6.0).reshape(3, 2), "z": torch.ones(3, 2), "words": [["a"], ["b", "c"], []]}


class Add(nn.Module):
    def forward(self, left, right):
        return left + right


class Split(nn.Module):
    def forward(self, x):
        return {"first": x[:, :1], "pair": (x, -x)}


class Lengths(nn.Module):
    def forward(self, words):
        return torch.tensor([[float(len(row)), 1.0] for row in words])


class Everything(nn.Module):
    def forward(self, outputs):
        return outputs["a"] * outputs["_input_"]["z"]


def classifier(*tasks: Task) -> MultitaskClassifier:
    return MultitaskClassifier(list(tasks), device="cpu")


def linear(n_in: int = 2, n_out: int = 2, seed: int = 0) -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(n_in, n_out)


def test_a_diamond_runs_each_operation_once():
    pool = {"trunk": linear(), "left": linear(), "right": linear(), "add": Add(), "head": linear(n_out=3)}
    diamond = [
        Operation("trunk", [("_input_", "x")]),
        Operation("left", ["trunk"]),
        Operation("right", ["trunk"]),
        Operation("add", ["left", "right"], name="sum"),
        Operation("head", ["sum"]),
    ]
    other = [*diamond[:2], Operation("other_head", ["left"])]
    model = classifier(
        Task("diamond", pool, diamond),
        Task("other", {"trunk": pool["trunk"], "left": pool["left"], "other_head": linear()}, other),
    )
    calls: Counter[str] = Counter()
    for name, module in model.module_pool.items():
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    outputs = model(X, ["diamond", "other"])
    assert calls == {"trunk": 1, "left": 1, "right": 1, "add": 1, "head": 1, "other_head": 1}
    hidden = pool["trunk"](X["x"])
    torch.testing.assert_close(outputs["head"], pool["head"](pool["left"](hidden) + pool["right"](hidden)))
    calls.clear()
    assert set(model(X, ["other"])) == {"_input_", "trunk", "left", "other_head"}
    assert calls == {"trunk": 1, "left": 1, "other_head": 1}


def test_one_module_in_two_operations():
    body = linear()
    task = Task(
        "t",
        {"body": body},
        [Operation("body", [("_input_", "x")]), Operation("body", ["body"], name="again")],
    )
    torch.testing.assert_close(classifier(task)(X, ["t"])["again"], body(body(X["x"])))


def test_fields_of_dicts_and_tuples():
    pool = {"split": Split(), "add": Add()}
    ops = [
        Operation("split", [("_input_", "x")]),
        Operation("add", [("split", "first"), ("split", "first")], name="twice"),
        Operation("add", ["twice", ("_input_", "z")]),
    ]
    torch.testing.assert_close(classifier(Task("t", pool, ops))(X, ["t"])["add"], 2 * X["x"][:, :1] + X["z"])


def test_a_position_in_a_tuple():
    class Pair(nn.Module):
        def forward(self, x):
            return x, -x

    ops = [Operation("pair", [("_input_", "x")]), Operation("same", [("pair", 1)])]
    outputs = classifier(Task("t", {"pair": Pair(), "same": nn.Identity()}, ops))(X, ["t"])
    torch.testing.assert_close(outputs["same"], -X["x"])


def test_lists_of_objects_reach_the_modules():
    task = Task("t", {"lengths": Lengths()}, [Operation("lengths", [("_input_", "words")])])
    assert classifier(task)(X, ["t"])["lengths"][:, 0].tolist() == [1, 2, 0]


def test_no_inputs_means_everything_so_far():
    ops = [Operation("same", [("_input_", "x")], name="a"), Operation("everything", [])]
    outputs = classifier(Task("t", {"same": nn.Identity(), "everything": Everything()}, ops))(X, ["t"])
    torch.testing.assert_close(outputs["everything"], X["x"])


def test_a_module_replaced_in_the_pool_is_the_one_that_runs():
    model = classifier(Task("t", {"body": linear()}, [Operation("body", [("_input_", "x")])]))
    model.module_pool["body"] = nn.Identity()
    torch.testing.assert_close(model(X, ["t"])["body"], X["x"])


def test_defaults_of_a_task():
    task = Task("t", {"body": linear()}, [Operation("body", [("_input_", "x")])])
    other = Task("u", {"body": linear()}, [Operation("body", [("_input_", "x")])])
    assert list(task.scorer.metrics) == ["accuracy"]
    assert task.scorer is not other.scorer
    logits = torch.tensor([[1.0, 3.0]])
    torch.testing.assert_close(task.output_func(logits), torch.softmax(logits, dim=-1))
    assert task.loss_func is F.cross_entropy
    own = Scorer(metrics=["f1"])
    assert Task("t", task.module_pool, task.op_sequence, own, len, abs).scorer is own


IN = [("_input_", "x")]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Operation("a", "x"), "operation 'a': inputs must be a list, got the string 'x'"),
        (lambda: Operation("a", [3]), "'a': an input is a name or a pair .* got 3"),
        (lambda: Operation("a", [("b", "c", "d")]), r"got \('b', 'c', 'd'\)"),
        (lambda: Task("t", {"a": linear()}, []), "task 't' needs at least one operation"),
        (
            lambda: Task("t", {"body": linear()}, [Operation("bodi", IN)]),
            "'bodi', which is not in the pool, did you mean 'body'",
        ),
        (
            lambda: Task("t", {"a": linear()}, [Operation("a", ["b"])]),
            "operation 'a' reads 'b', which is not computed before",
        ),
        (lambda: Task("t", {"a": linear()}, [Operation("a", ["a"])]), "operation 'a' reads 'a'"),
        (
            lambda: Task("t", {"a": linear()}, [Operation("a", IN), Operation("a", IN)]),
            "two operations are called 'a'",
        ),
        (lambda: Task("t", {"a": linear()}, [Operation("a", IN, name="_input_")]), "called '_input_'"),
        (
            lambda: Task("t", {"a.b": linear()}, [Operation("a.b", IN)]),
            "task 't': 'a.b' cannot be in a module pool",
        ),
        (lambda: Task("t", {"a": len}, [Operation("a", IN)]), "'a' cannot be in a module pool"),
    ],
)
def test_broken_tasks_are_refused(build, message):
    with pytest.raises(TaskGraphError, match=message):
        build()


def test_tasks_of_one_name_are_refused():
    with pytest.raises(TaskGraphError, match="two tasks are called 't'"):
        classifier(*(Task("t", {"body": linear()}, [Operation("body", IN)]) for _ in range(2)))


def test_what_is_not_there_at_run_time():
    model = classifier(Task("t", {"body": linear()}, [Operation("body", [("_input_", "feats")])]))
    with pytest.raises(
        TaskGraphError, match="'body' reads field 'feats' of '_input_', which has fields x, z, words"
    ):
        model(X, ["t"])
    with pytest.raises(TaskGraphError, match="there is no task 'tt', did you mean"):
        model(X, ["tt", "t"])


def test_an_error_inside_a_module_says_where_it_was():
    """Code that catches torch's error still does."""
    model = classifier(Task("t", {"body": linear(n_in=5)}, [Operation("body", IN, name="op")]))
    message = r"^in operation 'op', module 'body': RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    with pytest.raises(OperationError, match=message) as caught:
        model(X, ["t"])
    assert isinstance(caught.value, RuntimeError)
    assert type(caught.value.__cause__) is RuntimeError


@pytest.mark.parametrize("weight", [-0.1, math.inf, math.nan, "much", None])
def test_loss_weights_that_cannot_be(weight):
    with pytest.raises(TaskGraphError, match=rf"task 't': loss_weight must be .* got {weight!r}"):
        Task("t", {"body": linear()}, [Operation("body", IN)], loss_weight=weight)


def test_loss_weight_is_the_last_parameter_and_one_by_default():
    task = Task("t", {"body": linear()}, [Operation("body", IN)])
    assert task.loss_weight == 1.0
    assert Task("t", task.module_pool, task.op_sequence, None, None, None, 0).loss_weight == 0.0


def own_loss(logits, labels, *, weight=None):
    return F.cross_entropy(logits, labels, weight)


@pytest.mark.parametrize(
    ("loss", "takes"),
    [
        (None, True),
        (cross_entropy_with_probs, True),
        (label_cross_entropy, True),
        (own_loss, True),
        (partial(own_loss), True),
        (lambda logits, labels, **settings: own_loss(logits, labels, **settings) + 0, True),
        (lambda logits, labels: own_loss(logits, labels) + 0, False),
        (lambda logits, labels, weight, /: own_loss(logits, labels, weight=weight), False),
        (nn.CrossEntropyLoss(), False),
        (torch.nn.functional.logsigmoid, False),
    ],
)
def test_which_losses_take_class_weights(loss, takes):
    task = Task("t", {"body": linear()}, [Operation("body", IN)], loss_func=loss)
    assert task.takes_class_weights() == takes
    if takes:
        classifier(task).check_class_weights({"t": torch.ones(2)})
    else:
        with pytest.raises(TaskGraphError, match=r"class weights of task 't': its loss function .* no param"):
            classifier(task).check_class_weights({"t": torch.ones(2)})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"tt": torch.ones(2)}, "class weights: there is no task 'tt', did you mean 't'"),
        ({"t": torch.ones(2, 2)}, r"got shape \[2, 2\]"),
        ({"t": torch.tensor([1.0, -1.0])}, r"got \[1.0, -1.0\]"),
        ({"t": torch.zeros(2)}, r"not all 0, got \[0.0, 0.0\]"),
        ({"t": torch.tensor([1.0, math.inf])}, r"got \[1.0, inf\]"),
        ({"t": torch.tensor([1.0, math.nan])}, r"got \[1.0, nan\]"),
        ({"t": torch.ones(0)}, r"got \[\]"),
    ],
)
def test_class_weights_that_cannot_be(weights, message):
    with pytest.raises(TaskGraphError, match=message):
        classifier(Task("t", {"body": linear()}, [Operation("body", IN)])).check_class_weights(weights)


def test_a_task_added_later_shares_modules_by_object():
    trunk = linear()
    first = Task("t", {"trunk": trunk}, [Operation("trunk", IN)])
    second = Task(
        "u", {"trunk": trunk, "head": linear(seed=1)}, [*first.op_sequence, Operation("head", ["trunk"])]
    )
    model = classifier(first)
    assert set(model(X, ["t"])) == {"_input_", "trunk"}
    model.add_task(second)
    torch.testing.assert_close(model(X, ["u"])["head"], second.module_pool["head"](trunk(X["x"])))
    assert model.task_names == {"t", "u"}
    assert set(model.state_dict()) == {
        f"module_pool.{name}.{kind}" for name in ("trunk", "head") for kind in ("weight", "bias")
    }
    assert model.op_sequences["u"] == second.op_sequence
    assert model.loss_funcs == {"t": F.cross_entropy, "u": F.cross_entropy}
    assert model.output_funcs["u"] is second.output_func
    assert model.scorers["u"] is second.scorer


class Tokens(nn.Module):
    """Mean of the embeddings of a list's tokens."""

    def __init__(self, words):
        super().__init__()
        self.number = {word: i for i, word in enumerate(words)}
        self.embedding = nn.EmbeddingBag(len(words), 4)

    def forward(self, tokens):
        numbers = [torch.tensor([self.number[word] for word in row], dtype=torch.int64) for row in tokens]
        offsets = torch.tensor([0, *map(len, numbers)]).cumsum(0)[:-1]
        return self.embedding(torch.cat(numbers), offsets)


def test_token_lists_of_different_lengths_are_learnt_from():
    torch_words = ["good", "bad", "the", "film"]
    rows = [[torch_words[i % 2], *["the", "film"][: i % 3]] for i in range(24)]
    labels = torch.tensor([i % 2 for i in range(24)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pool = {"tokens": Tokens(torch_words), "head": nn.Linear(4, 2)}
    ops = [Operation("tokens", [("_input_", "tokens")]), Operation("head", ["tokens"])]
    model = classifier(Task("t", pool, ops))
    loader = DictDataLoader(
        DictDataset("text", "train", {"tokens": rows}, {"t": labels}), batch_size=7, shuffle=True
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for epoch in range(5):
        for batch in loader.batches(seed=epoch):
            optimizer.zero_grad()
            model.calculate_loss(*batch)[0]["t"].backward()
            optimizer.step()
    assert model.score([loader]) == {"t/text/train/accuracy": 1.0}


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"note": "a", "logits": [x]}, lambda x: (1, x)])
def test_labels_go_where_the_logits_are(wrap):
    """On "meta", which stands for a GPU; also when the last operation gives no plain tensor."""
    seen = []

    def loss(_logits, labels, weight=None):
        seen.append((labels.device.type, None if weight is None else weight.device.type))
        return torch.zeros(())

    task = Task("t", {"body": linear()}, [Operation("body", IN)], loss_func=loss)
    logits = wrap(torch.ones(3, 2, device="meta"))
    task.labelled_loss(logits, torch.tensor([0, 1, 0]))
    task.labelled_loss(logits, torch.tensor([0, 1, 0]), torch.ones(2), complete=True)
    task.labelled_loss("nothing", torch.tensor([0, 1, 0]))
    assert seen == [("meta", None), ("meta", "meta"), ("cpu", None)]
