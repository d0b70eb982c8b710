"""Slices as tasks: indicators, experts and the representation they are joined to."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from ws_pipeline import classification
from ws_pipeline.analysis import Scorer
from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    MultitaskClassifier,
    Operation,
    Task,
    cross_entropy_with_probs,
)
from ws_pipeline.compat.slice_tasks import SliceCombinerModule, add_slice_labels, convert_to_slice_tasks
from ws_pipeline.compat.slicing import to_slices
from ws_pipeline.errors import DatasetError, TaskGraphError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import snorkel.classification as their_classification
        import snorkel.slicing as theirs
    except ImportError:
        theirs = None

NEEDS_SNORKEL = pytest.mark.skipif(theirs is None, reason="Snorkel is not installed")


def seeded(make, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def make_task(library=classification, name="label", **settings):
    pool = nn.ModuleDict({"body": nn.Linear(4, 3), "head": nn.Linear(3, 2)})
    operations = [
        library.Operation(name="body_op", module_name="body", inputs=[("_input_", "x")]),
        library.Operation(name="head_op", module_name="head", inputs=["body_op"]),
    ]
    return library.Task(name, pool, operations, **settings)


def outputs(n_slices=2, n=5, prefix="t_slice:", seed=0):
    rng = torch.Generator().manual_seed(seed)
    found = {}
    for number in range(n_slices):
        name = f"{prefix}{'abcdefgh'[number]}"
        found[f"{name}_ind_head"] = torch.randn(n, 2, generator=rng)
        found[f"{name}_pred_head"] = torch.randn(n, 2, generator=rng)
        found[f"{name}_pred_transform"] = torch.randn(n, 4, generator=rng)
    return found


def joined_by_loops(found, names, temperature=1.0):
    rows = []
    for row in range(len(next(iter(found.values())))):
        scores = [
            float(
                found[f"{name}_ind_head"][row].softmax(0)[1] * found[f"{name}_pred_head"][row].softmax(0)[1]
            )
            for name in names
        ]
        weights = np.exp(np.array(scores) / temperature)
        features = np.array([found[f"{name}_pred_transform"][row].tolist() for name in names])
        rows.append(weights / weights.sum() @ features)
    return np.array(rows)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_the_joined_representation_is_the_weighted_sum(temperature):
    found = outputs(3)
    expected = joined_by_loops(found, ["t_slice:a", "t_slice:b", "t_slice:c"], temperature)
    assert SliceCombinerModule(temperature=temperature)(found).numpy() == pytest.approx(expected, abs=1e-6)


def test_slices_whose_names_begin_alike_are_not_mixed_up():
    """In alphabetical order "a_ind" comes before "a_k_ind", but "a_pred" behind "a_k_pred"."""
    found = outputs(2)
    renamed = {key.replace(":b", ":a_k"): value for key, value in found.items()}
    assert torch.equal(SliceCombinerModule()(renamed), SliceCombinerModule()(found))


def test_operations_of_another_task_are_not_looked_at():
    found = outputs(2)
    both = {**found, **outputs(3, prefix="other_slice:", seed=1), "_input_": {"x": torch.ones(5)}}
    assert torch.equal(SliceCombinerModule(prefix="t_slice:")(both), SliceCombinerModule()(found))


def test_a_slice_that_lacks_an_output_is_named():
    found = outputs(2)
    del found["t_slice:b_pred_transform"]
    with pytest.raises(TaskGraphError, match=r"slice 't_slice:b' has .* but no 't_slice:b_pred_transform'"):
        SliceCombinerModule()(found)
    with pytest.raises(TaskGraphError, match=r"no operation 't_slice:\.\.\._ind_head'"):
        SliceCombinerModule(prefix="t_slice:")({})


@pytest.mark.parametrize(("k", "words"), [(3, "more than 2 classes"), (1, r"requires output shape \[n, 2\]")])
def test_two_classes_only(k, words):
    found = {**outputs(1), "t_slice:a_pred_head": torch.ones(5, k)}
    with pytest.raises(NotImplementedError, match=words):
        SliceCombinerModule()(found)


def test_a_task_becomes_two_tasks_per_slice_and_itself():
    task = make_task(scorer=Scorer(metrics=["f1"]))
    tasks = {made.name: made for made in convert_to_slice_tasks(task, ["s", "t"])}
    kinds = [f"label_slice:{name}_{kind}" for kind in ("ind", "pred") for name in ("s", "t", "base")]
    assert list(tasks) == [*kinds, "label"]
    body, head = task.module_pool["body"], task.module_pool["head"]
    assert all(made.module_pool["body"] is body for made in tasks.values())
    assert tasks["label"].module_pool[tasks["label"].op_sequence[-1].module_name] is head
    experts = {id(tasks[name].module_pool[f"{name}_head"]) for name in kinds[3:]}
    assert len(experts) == 1
    assert [list(tasks[name].scorer.metrics) for name in ("label", *kinds[::3])] == [["f1"]] * 3


def test_the_task_itself_stays_as_it_was():
    task = make_task()
    before = list(task.module_pool), task.op_sequence.copy()
    convert_to_slice_tasks(task, ["s"])
    convert_to_slice_tasks(task, ["s"])
    assert (list(task.module_pool), task.op_sequence) == before


def test_loss_and_output_of_the_task_are_those_of_its_experts():
    task = make_task(loss_func=cross_entropy_with_probs, output_func=torch.sigmoid, loss_weight=3.0)
    tasks = {made.name: made for made in convert_to_slice_tasks(task, ["s"])}
    for name in ("label", "label_slice:s_pred", "label_slice:base_pred"):
        assert tasks[name].loss_func is cross_entropy_with_probs
        assert tasks[name].output_func is torch.sigmoid
    assert tasks["label_slice:s_ind"].loss_func is not cross_entropy_with_probs
    assert {made.loss_weight for made in tasks.values()} == {3.0}


def test_a_head_that_is_none_and_slices_of_one_name_are_refused():
    task = Task("label", {"body": nn.ReLU()}, [Operation("body", [("_input_", "x")])])
    with pytest.raises(TaskGraphError, match=r"task 'label': .*torch.nn.Linear.*module 'body' is a ReLU"):
        convert_to_slice_tasks(task, ["s"])
    with pytest.raises(TaskGraphError, match="two slices are called 's'"):
        convert_to_slice_tasks(make_task(), ["s", "s"])


def test_two_tasks_with_slices_live_in_one_classifier():
    tasks = [made for name in ("one", "two") for made in convert_to_slice_tasks(make_task(name=name), ["s"])]
    for made in tasks:
        if "two" in made.name:
            pool = {name.replace("body", "body2"): module for name, module in made.module_pool.items()}
            operations = [
                Operation(
                    op.module_name.replace("body", "body2"), op.inputs, op.name.replace("body", "body2")
                )
                for op in made.op_sequence
            ]
            for op in operations:
                op.inputs = tuple("body2_op" if source == "body_op" else source for source in op.inputs)
            made.module_pool, made.op_sequence = nn.ModuleDict(pool), operations
    model = MultitaskClassifier(tasks)
    X = {"x": torch.randn(5, 4)}
    alone = MultitaskClassifier([made for made in tasks if "one" in made.name])
    with torch.no_grad():
        found = model(X, ["one", "two"])["one_master_head"]
        assert torch.equal(found, alone(X, ["one"])["one_master_head"])


def make_slices(n, **members):
    votes = np.zeros((n, len(members)), dtype=np.int8)
    for column, rows in enumerate(members.values()):
        votes[rows, column] = 1
    return to_slices(votes, members)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (torch.tensor([0, 1, 1, 0, -1]), [0, 1, -1, -1, -1]),
        (
            torch.tensor([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5], [1, 0], [0, 1]]),
            [[0.8, 0.2], [0.3, 0.7], [-1, -1], [-1, -1], [-1, -1]],
        ),
    ],
)  # fmt: skip
def test_labels_of_an_expert_are_those_of_its_slice(labels, expected):
    loader = DictDataLoader(DictDataset("d", "train", {"x": torch.ones(5)}, {"label": labels}))
    add_slice_labels(loader, make_task(), make_slices(5, s=[0, 1]))
    found = loader.dataset.Y_dict
    assert found["label_slice:s_ind"].tolist() == [1, 1, 0, 0, 0]
    assert found["label_slice:base_ind"].tolist() == [1] * 5
    assert found["label_slice:s_pred"].tolist() == torch.tensor(expected).tolist()
    assert torch.equal(found["label_slice:base_pred"], labels)
    assert torch.equal(found["label"], labels)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("slices", "words"),
    [
        (make_slices(4, s=[0]), "expected 5, got 4"),
        (np.ones((5, 1)), "record array with one field per slice, .*got ndarray"),
        (np.array([(0,), (-1,)] * 2 + [(0,)], dtype=[("s", int)]), "'s' must say 0 or 1, got -1 in row 1"),
    ],
)  # fmt: skip
def test_slices_that_do_not_fit_are_refused(slices, words):
    loader = DictDataLoader(DictDataset("d", "train", {"x": torch.ones(5)}, {"label": torch.ones(5).long()}))
    with pytest.raises(DatasetError, match=words):
        add_slice_labels(loader, make_task(), slices)
    assert list(loader.dataset.Y_dict) == ["label"]


@NEEDS_SNORKEL
def test_the_joined_representation_is_that_of_snorkel():
    found = outputs(4)
    assert torch.allclose(SliceCombinerModule()(found), theirs.SliceCombinerModule()(found), atol=1e-6)


@NEEDS_SNORKEL
def test_the_same_seed_gives_the_logits_of_snorkel():
    """Modules are made in the same order, so they start from the same numbers."""
    own = seeded(lambda: convert_to_slice_tasks(make_task(), ["s", "t"]))
    their = seeded(lambda: theirs.convert_to_slice_tasks(make_task(their_classification), ["s", "t"]))
    model = MultitaskClassifier(own)
    their_model = their_classification.MultitaskClassifier(their, dataparallel=False)
    X = {"x": torch.randn(7, 4, generator=torch.Generator().manual_seed(1))}
    names = [task.name for task in own]
    assert names == [task.name for task in their]
    with torch.no_grad():
        found, expected = model(X, names), their_model(copy.copy(X), names)
    for task in their:
        name = task.op_sequence[-1].name
        assert torch.allclose(found[name], expected[name], atol=1e-6), name
