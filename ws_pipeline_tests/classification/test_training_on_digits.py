"""Two tasks on real handwritten digits: they are learnt, and two processes write the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    ModelConfig,
    MultitaskClassifier,
    Trainer,
    build_tasks,
)


def loaders() -> list[DictDataLoader]:
    digits = load_digits()
    features = torch.tensor(digits.data, dtype=torch.float32)
    digit = torch.tensor(digits.target)
    parity = torch.nn.functional.one_hot(digit % 2, 2) * 0.8 + 0.1  # probabilistic labels
    order = torch.randperm(len(digit), generator=torch.Generator().manual_seed(0))
    rows = dict(zip(("train", "valid", "test"), order.split([1200, 297, 300]), strict=True))
    return [
        DictDataLoader(
            DictDataset(
                "digits", split, {"features": features[row]}, {"digit": digit[row], "parity": parity[row]}
            ),
            batch_size=64,
            shuffle=split == "train",
        )
        for split, row in rows.items()
    ]


def train(path: Path, n_epochs: int) -> dict[str, float]:
    train_loader, valid, test = loaders()
    features = train_loader.dataset.X_dict["features"]
    cardinalities = {"digit": 10, "parity": 2}
    config = ModelConfig(hidden=[64, 32], dropout=0.1)
    tasks = build_tasks(config, n_features=64, cardinalities=cardinalities, seed=0, train_features=features)
    model = MultitaskClassifier(tasks, device=-1)
    Trainer(n_epochs=n_epochs, lr=0.005, progress_bar=False).fit(model, [train_loader, valid])
    model.save(path)
    return model.score([test])


def test_two_tasks_are_learnt(tmp_path):
    scores = train(tmp_path / "model", n_epochs=12)
    assert scores["digit/digits/test/accuracy"] > 0.93
    assert scores["digit/digits/test/f1_macro"] > 0.93
    assert scores["parity/digits/test/accuracy"] > 0.93


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(tmp_path):
    train(tmp_path / "here", n_epochs=2)
    subprocess.run([sys.executable, __file__, str(tmp_path / "there")], check=True)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


if __name__ == "__main__":
    train(Path(sys.argv[1]), n_epochs=2)
