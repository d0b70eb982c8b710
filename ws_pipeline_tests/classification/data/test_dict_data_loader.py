"""DictDataLoader: order, seeds, samplers, collate functions, workers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

from ws_pipeline.classification import DictDataLoader, DictDataset
from ws_pipeline.classification.data.dict_dataset import Labels, collate_dicts
from ws_pipeline.errors import DatasetError

N = 23
DATA = DictDataset(
    "toy",
    "train",
    {"row": torch.arange(N), "name": [f"r{i}" for i in range(N)]},
    {"task": torch.arange(N) % 2},
)


def rows_of(batches) -> list[int]:
    rows = []
    for X_batch, Y_batch in batches:
        rows += X_batch["row"].tolist()
        assert X_batch["name"] == [f"r{i}" for i in X_batch["row"].tolist()]
        assert torch.equal(Y_batch["task"], X_batch["row"] % 2)
    return rows


def test_in_order_without_shuffling():
    loader = DictDataLoader(DATA, batch_size=5)
    assert rows_of(loader) == list(range(N))
    assert [len(X["row"]) for X, _ in loader] == [5, 5, 5, 5, 3]
    assert len(loader) == 5


@pytest.mark.parametrize("kwargs", [{}, {"drop_last": True}, {"num_workers": 1}, {"collate_fn": None}])
def test_a_seed_decides_the_order(kwargs):
    loader = DictDataLoader(DATA, batch_size=5, shuffle=True, **kwargs)
    n = 20 if kwargs.get("drop_last") else N
    first = rows_of(loader.batches(seed=1))
    assert len(set(first)) == len(first) == n
    assert first == rows_of(loader.batches(seed=1))
    assert first != rows_of(loader.batches(seed=2))
    assert len(loader) == -(-n // 5)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "sampler",
    [
        lambda: WeightedRandomSampler([1.0] * N, 30),
        lambda: SubsetRandomSampler(range(3, 9)),
        lambda: [4, 2, 2],
    ],
)
def test_samplers_follow_the_seed_too(sampler, workers):
    loader = DictDataLoader(DATA, batch_size=4, sampler=sampler(), num_workers=workers)
    before = torch.get_rng_state()
    assert rows_of(loader.batches(seed=1)) == rows_of(loader.batches(seed=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_batch_sampler():
    loader = DictDataLoader(DATA, batch_sampler=[[0, 1], [5]])
    assert [X["row"].tolist() for X, _ in loader] == [[0, 1], [5]]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_generator_leaves_the_global_state_alone(workers):
    before = torch.get_rng_state()
    orders = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(3)
        loader = DictDataLoader(DATA, batch_size=4, shuffle=True, generator=generator, num_workers=workers)
        orders.append((rows_of(loader), rows_of(loader)))
    assert orders[0] == orders[1]
    assert orders[0][0] != orders[0][1]
    assert torch.equal(torch.get_rng_state(), before)


def test_without_seed_and_generator_it_follows_torch_manual_seed():
    loader = DictDataLoader(DATA, batch_size=4, shuffle=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = rows_of(loader)
        torch.manual_seed(5)
        assert rows_of(loader) == first


@pytest.mark.parametrize(
    "kwargs",
    [{"shuffle": True}, {"shuffle": True, "drop_last": True}, {"shuffle": True, "num_workers": 1}, {}],
)
def test_ordered_batches(kwargs):
    loader = DictDataLoader(DATA, batch_size=5, **kwargs)
    before = torch.get_rng_state()
    assert rows_of(loader.ordered_batches()) == list(range(N))
    assert torch.equal(torch.get_rng_state(), before)


def test_ordered_batches_keep_to_a_given_sampler():
    loader = DictDataLoader(DATA, batch_size=5, sampler=[4, 2, 9])
    assert rows_of(loader.ordered_batches()) == [4, 2, 9]


def first_rows(items):
    assert isinstance(items, list)
    fields, labels = items[0]
    return {"row": fields["row"][None], "name": [fields["name"]]}, {"task": labels["task"][None]}


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_collate_function_gets_the_items(workers, shuffle):
    loader = DictDataLoader(DATA, first_rows, batch_size=5, num_workers=workers, shuffle=shuffle)
    rows = rows_of(loader.batches(seed=0))
    assert len(rows) == 5
    assert rows_of(loader.ordered_batches()) == [0, 5, 10, 15, 20]


def test_torchs_own_loader_can_read_the_dataset_too():
    X_batch, Y_batch = next(iter(DataLoader(DATA, batch_size=3)))
    assert X_batch["row"].tolist() == [0, 1, 2]
    assert Y_batch["task"].tolist() == [0, 1, 0]


def test_one_gather_per_field_not_one_access_per_item(monkeypatch):
    monkeypatch.setattr(DictDataset, "__getitem__", lambda *_: pytest.fail("read item by item"))
    assert len(rows_of(DictDataLoader(DATA, batch_size=7, shuffle=True).batches(seed=0))) == N


def test_what_it_refuses():
    with pytest.raises(DatasetError, match="reads a DictDataset, got TensorDataset"):
        DictDataLoader(TensorDataset(torch.ones(3)))
    with pytest.raises(DatasetError, match="batch_size must be a number, got None"):
        DictDataLoader(DATA, batch_size=None)


class Squares(DictDataset):
    """Makes a field when an item is asked for, as datasets that read images do."""

    def __getitem__(self, index):
        fields, labels = super().__getitem__(index)
        return {**fields, "square": fields["row"] ** 2}, labels


@pytest.mark.parametrize("settings", [{}, {"num_workers": 1}, {"collate_fn": collate_dicts}])
def test_a_subclass_that_makes_its_own_items_is_asked_for_them(settings):
    data = Squares(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict)
    loader = DictDataLoader(data, batch_size=5, shuffle=True, **settings)
    for epoch in (
        loader.batches(seed=0),
        loader.ordered_batches(),
        loader.ordered_batches(with_labels=False),
    ):
        batches = list(epoch)
        assert sorted(rows_of(batches)) == list(range(N))
        assert all(torch.equal(X["square"], X["row"] ** 2) for X, _ in batches)


class Negatives(DictDataset):
    """Gathers batches in its own way."""

    def take(self, indices):
        fields, labels = super().take(indices)
        return {**fields, "negative": -fields["row"]}, labels | {"task": torch.full_like(labels["task"], -1)}


def test_a_subclass_that_gathers_in_its_own_way_is_left_to_it():
    loader = DictDataLoader(Negatives(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict), batch_size=5)
    for epoch in (loader.batches(seed=0), loader.ordered_batches(with_labels=False)):
        for fields, labels in epoch:
            assert torch.equal(fields["negative"], -fields["row"])
            assert not labels.is_complete("task")
    assert not loader.gives_the_datasets_rows


def test_batches_know_which_tasks_are_complete():
    data = DictDataset(
        "toy", "train", {"x": torch.ones(4)}, {"a": torch.zeros(4), "b": torch.tensor([0, -1, 0, 0])}
    )
    loader = DictDataLoader(data, batch_size=2, shuffle=True)
    for _, labels in loader:
        assert isinstance(labels, Labels)
        assert [labels.is_complete(task) for task in ("a", "b")] == [True, False]
    data.Y_dict["a"][3] = -1
    assert not any(labels.is_complete("a") for _, labels in loader)


def test_labels_may_be_left_out_where_that_saves_work():
    rows = [
        X["row"].tolist()
        for X, Y in DictDataLoader(DATA, batch_size=5).ordered_batches(with_labels=False)
        if not Y
    ]
    assert [row for part in rows for row in part] == list(range(N))
    assert [len(part) for part in rows] == [5, 5, 5, 5, 3]


class FirstTen(DictDataset):
    """A subset to try things out on."""

    def __len__(self):
        return 10


EPOCHS = [
    lambda loader: loader.batches(seed=0),
    lambda loader: loader.ordered_batches(),
    lambda loader: loader.ordered_batches(with_labels=False),
]


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("settings", [{}, {"num_workers": 1}, {"collate_fn": collate_dicts}])
def test_the_length_of_a_subclass_counts_everywhere(settings, epoch):
    data = FirstTen(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict)
    loader = DictDataLoader(data, batch_size=4, shuffle=True, **settings)
    assert sorted(rows_of(epoch(loader))) == list(range(10))
    assert len(loader) == 3
    assert not loader.gives_the_datasets_rows


def test_predictions_and_gold_labels_of_a_shorter_subclass_are_of_the_same_rows(make_model, make_dataset):
    whole = make_dataset()
    part = FirstTen(whole.name, whole.split, whole.X_dict, whole.Y_dict)
    found = make_model().predict(DictDataLoader(part, batch_size=4), return_preds=True)
    expected = make_model().predict(DictDataLoader(whole, batch_size=4), return_preds=True)
    for kind in ("golds", "probs", "preds"):
        for label, values in found[kind].items():
            np.testing.assert_allclose(values, expected[kind][label][:10], rtol=1e-6)


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("settings", [{}, {"num_workers": 1}, {"collate_fn": collate_dicts}])
def test_fields_and_labels_put_in_later_are_read_to_their_end(settings, epoch):
    data = DictDataset("toy", "train", {"row": torch.arange(3)}, {"task": torch.zeros(3)})
    loader = DictDataLoader(data, batch_size=5, shuffle=True, **settings)
    data.X_dict.update(DATA.X_dict)
    data.Y_dict = dict(DATA.Y_dict)
    assert sorted(row for fields, _ in epoch(loader) for row in fields["row"].tolist()) == list(range(N))
    assert len(loader) == 5


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("settings", [{}, {"shuffle": True}, {"num_workers": 1}, {"drop_last": True}])
@pytest.mark.parametrize(
    ("fields", "labels", "message"),
    [
        ({"row": torch.arange(4)}, {}, "field 'row' has 4 rows and field 'name' has 23"),
        ({}, {"task": torch.zeros(4)}, "field 'row' has 23 rows and labels of task 'task' has 4"),
        ({}, {"task": [torch.tensor(0)] * N}, "labels of task 'task' must be a tensor .* got .*list"),
        ({"row": None}, {}, "field 'row' must be a tensor .* got .*NoneType"),
    ],
)
def test_what_no_longer_fits_is_refused_when_an_epoch_starts(fields, labels, message, settings, epoch):
    data = DictDataset(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict)
    loader = DictDataLoader(data, batch_size=5, **settings)
    data.X_dict.update(fields)
    data.Y_dict.update(labels)
    with pytest.raises(DatasetError, match=message) as caught:
        epoch(loader)
    assert str(caught.value).startswith("dataset 'toy' (train)")


class Longer(DictDataset):
    """Promises more rows than there are."""

    def __len__(self):
        return N + 2


class Augmented(Longer):
    """Gives rows again, changed, after the last."""

    def __getitem__(self, index):
        fields, labels = super().__getitem__(index % N)
        return {**fields, "again": torch.tensor(index >= N)}, labels


@pytest.mark.parametrize("epoch", EPOCHS)
def test_a_length_beyond_the_rows_needs_items_of_its_own(epoch):
    with pytest.raises(DatasetError, match=r"len\(\) of Longer is 25, but there are 23 rows"):
        epoch(DictDataLoader(Longer(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict), batch_size=5))
    data = Augmented(DATA.name, DATA.split, DATA.X_dict, DATA.Y_dict)
    batches = list(epoch(DictDataLoader(data, batch_size=5)))
    assert rows_of(batches) == [*range(N), 0, 1]
    assert torch.cat([X["again"] for X, _ in batches]).tolist() == [False] * N + [True] * 2


class OwnStore(DictDataset):
    """Has no fields before an item is asked for."""

    def __init__(self):
        self.name, self.split, self.X_dict, self.Y_dict = "own", "train", {}, {}

    def __len__(self):
        return N

    def __getitem__(self, index):
        return DATA[index]


@pytest.mark.parametrize("epoch", EPOCHS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_a_subclass_with_its_own_length_and_items_may_keep_what_it_likes(shuffle, epoch):
    loader = DictDataLoader(OwnStore(), batch_size=5, shuffle=shuffle)
    assert sorted(rows_of(epoch(loader))) == list(range(N))


@pytest.mark.parametrize(
    ("fields", "device"),
    [
        ({"x": torch.ones(3, device="meta")}, "meta"),
        ({"x": torch.ones(3, device="meta"), "ids": ["a", "b", "c"]}, "cpu"),
    ],
)
def test_row_numbers_are_where_the_data_are(fields, device):
    """Or every batch would copy them there; "meta" stands for a GPU."""
    loader = DictDataLoader(DictDataset("toy", "train", fields), batch_size=2, shuffle=True)
    assert {rows.device.type for rows in loader._draw_order()} == {device}
