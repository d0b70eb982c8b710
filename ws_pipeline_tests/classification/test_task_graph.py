"""Tasks and operations: what runs, how often, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import MultitaskClassifier, Operation, Task
from ws_pipeline.errors import TaskGraphError

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
        (lambda: Operation("a", "x"), "operation 'a': inputs must be a list, found the string 'x'"),
        (lambda: Operation("a", [3]), "'a': an input is a name or a pair .* found 3"),
        (lambda: Operation("a", [("b", "c", "d")]), r"found \('b', 'c', 'd'\)"),
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
        (classifier, "needs at least one task"),
    ],
)
def test_broken_tasks_are_refused(build, message):
    with pytest.raises(TaskGraphError, match=message):
        build()


def pair(second_pool, second_op, second_name="u") -> MultitaskClassifier:
    body = linear()
    first = Task("t", {"body": body, "spare": linear()}, [Operation("body", IN)])
    return classifier(first, Task(second_name, second_pool(body), [second_op]))


@pytest.mark.parametrize(
    ("second_pool", "second_op", "message"),
    [
        (
            lambda _: {"body": linear()},
            Operation("body", IN),
            "tasks 't' and 'u' have two different modules called 'body'",
        ),
        (
            lambda body: {"body": body},
            Operation("body", [("_input_", "z")]),
            "tasks 't' and 'u' have two different operations called 'body'",
        ),
        (
            lambda body: {"other": body},
            Operation("other", IN, name="body"),
            "two different operations called 'body'",
        ),
    ],
)
def test_names_that_mean_two_things_are_refused(second_pool, second_op, message):
    with pytest.raises(TaskGraphError, match=message):
        pair(second_pool, second_op)


def test_tasks_of_one_name_are_refused():
    with pytest.raises(TaskGraphError, match="two tasks are called 't'"):
        pair(lambda body: {"body": body}, Operation("body", IN), second_name="t")


def test_what_is_not_there_at_run_time():
    model = classifier(Task("t", {"body": linear()}, [Operation("body", [("_input_", "feats")])]))
    with pytest.raises(
        TaskGraphError, match="'body' reads field 'feats' of '_input_', which has fields x, z, words"
    ):
        model(X, ["t"])
    with pytest.raises(TaskGraphError, match="there is no task 'tt', did you mean"):
        model(X, ["tt", "t"])


def test_an_error_inside_a_module_says_where_it_was():
    model = classifier(Task("t", {"body": linear(n_in=5)}, [Operation("body", IN, name="op")]))
    with pytest.raises(RuntimeError, match="mat1 and mat2") as caught:
        model(X, ["t"])
    assert caught.value.__notes__ == ["in operation 'op', module 'body'"]
