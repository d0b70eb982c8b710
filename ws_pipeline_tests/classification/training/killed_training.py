"""Trains in child processes and kills them with SIGKILL; run by test_resume.py.

Prints what came of it as JSON.

The parent imports everything once and forks, so that a training costs no imports.  A child reports its
steps through a pipe; the parent waits for a random one, sleeps for a random moment, and kills.  Other
children kill themselves while a file is being written.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import sklearn.metrics  # noqa: F401  the children evaluate
import torch

from ws_pipeline.classification import (
    DictDataLoader,
    DictDataset,
    ModelConfig,
    MultitaskClassifier,
    Trainer,
    build_tasks,
)
from ws_pipeline.storage import files

N_STEPS = 4 * (4 + 3 + 1)
SETTINGS = {
    "n_epochs": 4,
    "lr": 0.05,
    "seed": 5,
    "lr_scheduler": "linear",
    "warmup_percentage": 0.1,
    "counter_unit": "batches",
    "evaluation_freq": 3,
    "checkpointing": True,
    "checkpoint_metric": "three/toy/valid/accuracy:max",
    "checkpoint_task_metrics": ["model/all/valid/loss:min", "model/all/train/loss:min"],
    "early_stopping_metric": "model/all/valid/loss:min",
    "early_stopping_patience": 100,
    "progress_bar": False,
}


def make_dataset(n: int, split: str, name: str, seed: int) -> DictDataset:
    features = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    positive = torch.sigmoid(3 * features[:, 3])
    labels = {"three": features[:, :3].argmax(dim=1), "two": torch.stack([1 - positive, positive], dim=1)}
    return DictDataset(name, split, {"features": features}, labels)


def train(folder: Path, settings: dict, on_step=None) -> Trainer:
    """One training, from the beginning or from the checkpoint in ``folder``; writes what it ends in."""
    os.chdir(folder)
    tasks = build_tasks(
        ModelConfig(hidden=[8], dropout=0.3), n_features=4, cardinalities={"three": 3, "two": 2}, seed=1
    )
    model = MultitaskClassifier(tasks, device=-1)
    if on_step is not None:
        model.module_pool["trunk"].register_forward_pre_hook(on_step)
    datasets = [make_dataset(n, "train", f"d{n}", n) for n in (60, 40, 10)]
    loaders = [DictDataLoader(data, batch_size=16, shuffle=True) for data in datasets]
    loaders.append(DictDataLoader(make_dataset(50, "valid", "toy", 9), batch_size=32))
    trainer = Trainer(**SETTINGS | settings, checkpoint_dir="checkpoints").fit(model, loaders)
    model.save("end.safetensors")
    outcome = [trainer.history_, trainer.best_step_, trainer.best_metrics_, trainer.stopped_early_]
    Path("history.json").write_text(json.dumps(outcome))
    trainer.save("trainer.safetensors")
    with Path("resumed").open("a") as stream:
        stream.write(f"{trainer.resumed_from_step_}\n")
    return trainer


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file; not of notes on resuming, nor of what was half written outside checkpoints/."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "resumed"]
    paths = [path for path in paths if path.parent != folder or path.suffix != ".tmp"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)
    }


def fork(work) -> int:
    """Do ``work`` in a child process."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        work()
    except BaseException:  # noqa: BLE001  the child must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def report_step(writer: int) -> None:
    os.write(writer, b".")


def kill_at_step(folder: Path, settings: dict, step: int, delay: float) -> bool:
    """Kill a training some time after a forward pass; say whether it was killed before its end."""
    reader, writer = os.pipe()
    child = fork(lambda: train(folder, settings, on_step=lambda *_: report_step(writer)))
    os.close(writer)
    for _ in range(step):
        if not os.read(reader, 1):
            break
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reader)
    return os.WIFSIGNALED(status)


def kill_in_file(folder: Path, settings: dict, event: int) -> bool:
    """Kill a training at the ``event``-th moment of writing files: before, within or after a rename."""
    seen = [0]

    def die_at(event_now: int) -> None:
        if event_now == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def counting(function):
        def call(*arguments):
            seen[0] += 1
            die_at(seen[0])
            result = function(*arguments)
            seen[0] += 1
            die_at(seen[0])
            return result

        return call

    def work() -> None:
        files.os.fsync = counting(os.fsync)
        files.Path.replace = counting(files.Path.replace)
        train(folder, settings)

    _, status = os.waitpid(fork(work), 0)
    return os.WIFSIGNALED(status)


def finish(folder: Path, settings: dict) -> None:
    _, status = os.waitpid(fork(lambda: train(folder, settings)), 0)
    if status:
        sys.exit(f"training failed in {folder}")


def main(root: Path, n_kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # the first optimizer imports much
    rng = random.Random(seed)  # noqa: S311
    variants = [
        {},
        {"checkpoint_clear": False, "checkpoint_factor": 2, "optimizer": "sgd", "lr": 0.01},
        {"counter_unit": "epochs", "evaluation_freq": 1, "optimizer": "adamax"},
        {"counter_unit": "points", "evaluation_freq": 37, "checkpoint_runway": 200, "optimizer": "adamw"},
    ]
    report = []
    for number in range(n_kills):
        settings = variants[number % len(variants)]
        whole = root / f"whole{number % len(variants)}"
        if not whole.exists():
            whole.mkdir()
            finish(whole, settings)
        folder = root / f"killed{number}"
        folder.mkdir()
        if number % 3 == 2:
            killed = [kill_in_file(folder, settings, rng.randrange(1, 100)) for _ in range(2)]
        else:
            moments = [(rng.randrange(1, N_STEPS), rng.uniform(0, 0.01)) for _ in range(2)]
            killed = [kill_at_step(folder, settings, *moment) for moment in moments]
        finish(folder, settings)
        report.append(
            {
                "killed": killed,
                "resumed": (folder / "resumed").read_text().split(),
                "same": contents(folder) == contents(whole),
                "files": sorted(contents(folder)),
            }
        )
        shutil.rmtree(folder)
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
