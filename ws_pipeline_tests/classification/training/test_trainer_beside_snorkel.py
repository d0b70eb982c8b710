"""The same data and model trained by Snorkel's Trainer: the quality is the same, up to the seed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from ws_pipeline import classification as ours

N_SEEDS = 5


def make_data(n: int, seed: int):
    """Three noisy classes, and whether a feature is positive."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 6, generator=generator)
    noise = torch.randn(n, 3, generator=generator)
    return features, (features[:, :3] + 0.7 * noise).argmax(dim=1), (features[:, 3] > 0).long()


def make_modules(seed: int) -> dict[str, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        trunk = nn.Sequential(nn.Linear(6, 12), nn.ReLU())
        return {"trunk": trunk, "kind": nn.Linear(12, 3), "sign": nn.Linear(12, 2)}


def accuracies(library, modules, seed: int) -> list[float]:
    tasks = [
        library.Task(
            name=name,
            module_pool=nn.ModuleDict({"trunk": modules["trunk"], name: modules[name]}),
            op_sequence=[
                library.Operation("trunk", [("_input_", "x")], name="trunk"),
                library.Operation(name, ["trunk"]),
            ],
        )
        for name in ("kind", "sign")
    ]
    loaders = []
    for split, n in (("train", 300), ("test", 2000)):
        x, kind, sign = make_data(n, seed if split == "train" else 1000)
        dataset = library.DictDataset("toy", split, {"x": x}, {"kind": kind, "sign": sign})
        loaders.append(library.DictDataLoader(dataset, batch_size=32, shuffle=split == "train"))
    model = library.MultitaskClassifier(tasks, device=-1)
    trainer = library.Trainer(
        seed=seed,
        n_epochs=6,
        lr=0.02,
        l2=1e-4,
        progress_bar=False,
        lr_scheduler="linear",
        optimizer_config={"adam_config": {"betas": (0.9, 0.99)}},
    )
    trainer.fit(model, loaders)
    scores = model.score(loaders[1:])
    return [scores[f"{name}/toy/test/accuracy"] for name in ("kind", "sign")]


def test_mean_quality_over_seeds_is_snorkels_within_noise():
    theirs = pytest.importorskip("snorkel.classification")
    results = {"ours": [], "theirs": []}
    for seed in range(N_SEEDS):
        results["ours"].append(accuracies(ours, make_modules(seed), seed))
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            results["theirs"].append(accuracies(theirs, make_modules(seed), seed))
    mine, other = (np.array(results[name]) for name in ("ours", "theirs"))
    noise = np.sqrt((mine.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / N_SEEDS)
    assert (mine.mean(axis=0) > [0.6, 0.85]).all()
    assert (np.abs(mine.mean(axis=0) - other.mean(axis=0)) < 3 * noise + 0.005).all()
    assert (noise < 0.02).all(), "otherwise the comparison would show nothing"
