"""Moving batches to a device; torch's "meta" device stands for another one."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from ws_pipeline.classification import devices
from ws_pipeline.classification.devices import first_parameter, move_to_device

META = torch.device("meta")
CPU = torch.device("cpu")


class Pair(NamedTuple):
    left: object
    right: object


def test_tensors_are_found_in_any_nesting():
    value = {
        "a": torch.ones(2),
        "b": [torch.ones(1), "x", [torch.ones(3)]],
        "c": (torch.ones(1), 2),
        "d": Pair(torch.ones(2), "y"),
    }
    moved = move_to_device(value, META)
    assert moved["a"].device == moved["b"][0].device == moved["b"][2][0].device == META
    assert moved["c"][0].device == moved["d"].left.device == META
    assert (moved["b"][1], moved["c"][1], moved["d"].right) == ("x", 2, "y")
    assert (type(moved["b"]), type(moved["c"]), type(moved["d"])) == (list, tuple, Pair)


def test_what_is_there_already_is_not_copied():
    value = torch.ones(2)
    assert move_to_device({"x": value}, CPU)["x"] is value


def test_token_lists_are_not_looked_through(monkeypatch):
    tokens = [["a", "b"] * 50, [1, 2.5, None, True, b"c"], []]
    calls = []
    plain = devices.move_to_device
    monkeypatch.setattr(devices, "move_to_device", lambda *args: calls.append(args) or plain(*args))
    moved = devices.move_to_device(tokens, META)
    assert moved == tokens
    assert moved[0] is tokens[0]
    assert len(calls) == 4


def test_packed_sequences_keep_their_lengths_on_the_cpu():
    packed = pack_sequence([torch.ones(3), torch.ones(2)])
    moved = move_to_device([packed], META)[0]
    assert moved.data.device == META
    assert moved.batch_sizes.tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(2, 2),
        nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1))),
        nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2)),
        nn.ReLU(),
    ],
)
def test_the_first_parameter_is_torchs(module):
    assert first_parameter(module) is next(module.parameters(), None)
