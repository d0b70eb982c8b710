"""Speed and memory of training and predicting, beside a hand-written loop and Snorkel 0.10 in the same run.

    python benchmarks/trainer.py                  all shapes; takes some ten minutes
    python benchmarks/trainer.py --quick          50,000 rows only, fewer repetitions
    python benchmarks/trainer.py --device cuda    default where there is a GPU: also bf16 and a wide trunk

Two tasks of 10 and 2 classes with probabilistic labels on 64 features, a trunk 100-64 that both share
Adam, gradients clipped at norm 1: the same modules with the same initial weights, the same data, loss and
batch size for all.  Every measurement has a process of its own with OMP_NUM_THREADS (default 1); imports
are done, data made and a few steps taken before the clock starts.  The processes take turns, and the best
of all their runs counts; Snorkel has three, of one epoch.  Memory is the peak above the input.  "loss" is
the training loss of the final parameters over all rows: it shows that both have done the same work.  With
--cpu-time, processor time of one thread is measured instead of wall time, for a machine that is busy with
other things too.

The hand-written loop is :func:`plain_fit`.  Per epoch it draws a permutation; per step it gathers three
tensors, sums two cross entropies, clips, steps, reads both losses, adds them up and stops if one is not
finite.  It knows no unlabelled rows, no second loader, no schedule, no validation, no history and no
checkpoints.  "plain" has the fused Adam, as the trainer has; "for" is the same loop with torch's default,
a loop over the parameters.  The plain forward keeps the batches' probabilities and joins them at the end.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from label_model import reset_peak, status
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

BATCHES = [64, 256, 1024]
SIZES = [50_000, 200_000]
CLASSES = {"color": 10, "shape": 2}
N_FEATURES = 64
SMALL, WIDE = [100, 64], [1024] * 4
LR = 0.001
MIN_STEPS = 400
PARTS_EVERY = 20
SNORKEL_ROUNDS = 3
Data = tuple[Tensor, dict[str, Tensor]]


def random_data(n: int, device: str) -> Data:
    """Features and probabilistic labels of a random linear teacher."""
    generator = torch.Generator().manual_seed(0)
    features = torch.empty(n, N_FEATURES)
    labels = {task: torch.empty(n, k) for task, k in CLASSES.items()}
    teachers = {task: torch.randn(N_FEATURES, k, generator=generator) / 4 for task, k in CLASSES.items()}
    for start in range(0, n, 10_000):
        rows = slice(start, min(start + 10_000, n))
        features[rows] = torch.randn(rows.stop - start, N_FEATURES, generator=generator)
        for task, teacher in teachers.items():
            labels[task][rows] = torch.softmax(features[rows] @ teacher, dim=1)
    return features.to(device), {task: probs.to(device) for task, probs in labels.items()}


def make_modules(hidden: list[int]) -> tuple[nn.Sequential, dict[str, nn.Linear]]:
    torch.manual_seed(0)
    widths = [N_FEATURES, *hidden]
    layers = [layer for size in itertools.pairwise(widths) for layer in (nn.Linear(*size), nn.ReLU())]
    return nn.Sequential(*layers), {task: nn.Linear(widths[-1], k) for task, k in CLASSES.items()}


def plain_fit(modules: Any, data: Data, *, batch: int, n_epochs: int, precision: str, fused: bool) -> float:
    """The loop a careful person writes for exactly this model and these data; gives the last epoch's loss."""
    (trunk, heads), (features, labels) = modules, data
    parameters = [p for module in (trunk, *heads.values()) for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=LR, fused=fused or None)
    device = features.device
    for _ in range(n_epochs):
        sums = dict.fromkeys(heads, 0.0)
        for rows in torch.randperm(len(features)).to(device).split(batch):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                hidden = trunk(features.index_select(0, rows))
                losses = {
                    task: F.cross_entropy(head(hidden), labels[task].index_select(0, rows))
                    for task, head in heads.items()
                }
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            for task, loss in losses.items():
                value = loss.item()
                if not math.isfinite(value):
                    raise FloatingPointError(task)
                sums[task] += value * len(rows)
    return sum(sums.values()) / len(features)


def plain_predict(modules: Any, data: Data, *, batch: int) -> dict[str, Tensor]:
    (trunk, heads), (features, _) = modules, data
    probs: dict[str, list[Tensor]] = {task: [] for task in heads}
    with torch.no_grad():
        for start in range(0, len(features), batch):
            hidden = trunk(features[start : start + batch])
            for task, head in heads.items():
                probs[task].append(F.softmax(head(hidden), dim=1))
    return {task: torch.cat(parts).cpu() for task, parts in probs.items()}


def library_objects(name: str, modules: Any, data: Data, batch: int) -> tuple[Any, Any, Any, Any]:
    """The same lines for both libraries: package, classifier, dataset and loader."""
    if name == "ours":
        import ws_pipeline.classification as library
    else:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        import snorkel.classification as library
    (trunk, heads), (features, labels) = modules, data
    tasks = [
        library.Task(
            name=task,
            module_pool=nn.ModuleDict({"trunk": trunk, f"{task}_head": head}),
            op_sequence=[
                library.Operation("trunk", [("_input_", "features")]),
                library.Operation(f"{task}_head", ["trunk"]),
            ],
            loss_func=library.cross_entropy_with_probs,
        )
        for task, head in heads.items()
    ]
    model = library.MultitaskClassifier(tasks, device=0 if features.is_cuda else -1, dataparallel=False)
    dataset = library.DictDataset("random", "train", {"features": features}, dict(labels))
    return library, model, dataset, library.DictDataLoader(dataset, batch_size=batch, shuffle=True)


def final_loss(modules: Any, data: Data) -> float:
    (trunk, heads), (features, labels) = modules, data
    total = 0.0
    with torch.no_grad():
        for rows in torch.arange(len(features), device=features.device).split(10_000):
            hidden = trunk(features[rows])
            total += sum(
                F.cross_entropy(head(hidden), labels[t][rows], reduction="sum").item()
                for t, head in heads.items()
            )
    return total / len(features)


def clock_of(spec: dict[str, Any]) -> float:
    if spec["device"] == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if spec["cpu_time"] else time.perf_counter()


def serve(spec: dict[str, Any], call: Callable[[], object], result: Callable[[], dict[str, float]]) -> None:
    """Run `call` once per line of the input and print its seconds; at the end of the input, the result."""
    before = memory(spec["device"])
    print("ready", flush=True)
    for _ in sys.stdin:
        started = clock_of(spec)
        call()
        print(clock_of(spec) - started, flush=True)
    added = memory(spec["device"], peak=True) - before
    print(json.dumps({"memory": added, **result()}))


def to_device(modules: Any, device: str) -> Any:
    for module in (modules[0], *modules[1].values()):
        module.to(device)
    return modules


def child_fit(spec: dict[str, Any], data: Data) -> None:
    """Train with one library, each time from the same initial weights."""
    library, batch, precision, n_epochs = (spec[name] for name in ("library", "batch", "precision", "epochs"))
    modules: Any = None

    def fit(rows: int) -> None:
        nonlocal modules
        part = data[0][:rows], {task: probs[:rows] for task, probs in data[1].items()}
        modules = to_device(make_modules(spec["hidden"]), spec["device"])
        if library.startswith("plain"):
            fused = library == "plain"
            plain_fit(modules, part, batch=batch, n_epochs=n_epochs, precision=precision, fused=fused)
            return
        package, model, _, loader = library_objects(library, modules, part, batch)
        settings = {"precision": precision} if library == "ours" else {}
        trainer = package.Trainer(n_epochs=n_epochs, lr=LR, progress_bar=False, **settings)
        trainer.fit(model, [loader])

    fit(2 * batch)
    serve(spec, lambda: fit(spec["n"]), lambda: {"loss": final_loss(modules, data)})


def child_predict(spec: dict[str, Any], data: Data) -> None:
    modules = to_device(make_modules(spec["hidden"]), spec["device"])
    if spec["library"] == "plain":
        call = lambda: plain_predict(modules, data, batch=spec["batch"])  # noqa: E731
    else:
        _, model, _, loader = library_objects(spec["library"], modules, data, spec["batch"])
        call = lambda: model.predict(loader)  # noqa: E731
    call()
    serve(spec, call, dict)


def child_parts(spec: dict[str, Any], data: Data) -> None:
    """Seconds of a training that evaluates, logs and writes checkpoints, or does not."""
    valid = random_data(5_000, spec["device"])
    evaluated = {"counter_unit": "batches", "evaluation_freq": PARTS_EVERY}
    settings = {
        "nothing": {"evaluation_freq": 0},
        "evaluation": evaluated,
        "JSON log": {**evaluated, "logging": True, "log_writer": "json"},
        "TensorBoard log": {**evaluated, "logging": True, "log_writer": "tensorboard"},
        "checkpoint": {**evaluated, "checkpointing": True},
    }[spec["library"]]

    def fit() -> None:
        modules = to_device(make_modules(spec["hidden"]), spec["device"])
        package, model, _, loader = library_objects("ours", modules, data, spec["batch"])
        held_out = package.DictDataset("random", "valid", {"features": valid[0]}, valid[1])
        loaders = [loader, package.DictDataLoader(held_out, batch_size=1024)]
        with tempfile.TemporaryDirectory() as folder:
            folders = {"log_dir": folder, "checkpoint_dir": f"{folder}/checkpoints"}
            package.Trainer(n_epochs=1, lr=LR, progress_bar=False, **folders, **settings).fit(model, loaders)

    fit()
    serve(spec, fit, dict)


def memory(device: str, *, peak: bool = False) -> float:
    """Memory in use in MB, of the device that computes, and a new start for the peak; or that peak."""
    if device == "cuda":
        if peak:
            return torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    if peak:
        return status("VmHWM")
    reset_peak()
    return status("VmRSS")


class Child:
    """A measurement in a process of its own, which waits between its runs."""

    def __init__(self, spec: dict[str, Any]) -> None:
        command = [sys.executable, __file__, "--child", json.dumps(spec)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self.seconds = math.inf
        while self._read() != "ready":
            pass

    def run(self) -> None:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.seconds = min(self.seconds, float(self._read()))

    def finish(self) -> dict[str, float]:
        self.process.stdin.close()
        return {"seconds": self.seconds, **json.loads(self._read())}

    def _read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(1)  # it has printed why
        return line.strip()


def in_turns(libraries: list[str], *, rounds: int, **spec: Any) -> dict[str, dict[str, float]]:
    """Best time of every library; they take turns, so that a busy machine hits all alike."""
    epochs = math.ceil(MIN_STEPS * spec["batch"] / spec["n"])
    children = {
        name: Child({"library": name, "epochs": 1 if name == "snorkel" else epochs, **spec})
        for name in libraries
    }
    for turn in range(rounds):
        for name, child in children.items():
            if name != "snorkel" or turn < SNORKEL_ROUNDS:
                child.run()
    results = {name: child.finish() for name, child in children.items()}
    n_steps = math.ceil(spec["n"] / spec["batch"])
    for name, found in results.items():
        found["step"] = found["seconds"] / n_steps / (1 if name == "snorkel" else epochs)
    return results


def training_table(sizes: list[int], models: list[tuple[list[int], str]], **settings: Any) -> None:
    print(
        f"\ntraining: microseconds per step, MB above the input on {settings['device']}\n"
        f"{'trunk':>8} {'type':>8} {'rows':>8} {'batch':>6} | {'ours':>7} {'MB':>5} {'loss':>6} | "
        f"{'plain':>7} {'MB':>5} {'loss':>6} {'ours/plain':>10} | {'for':>7} {'ours/for':>8} | "
        f"{'Snorkel':>8} {'MB':>5} {'Snorkel/ours':>12}"
    )
    for hidden, precision in models:
        with_snorkel = hidden == SMALL and precision == "float32"
        libraries = ["ours", "plain", "plain for", *(["snorkel"] if with_snorkel else [])]
        for n in sizes:
            for batch in BATCHES:
                spec = {"what": "fit", "n": n, "batch": batch, "hidden": hidden, "precision": precision}
                found = in_turns(libraries, **settings, **spec)
                ours, plain, default = (found[name] for name in libraries[:3])
                trunk = f"{len(hidden)}x{hidden[0]}" if hidden == WIDE else "-".join(map(str, hidden))
                line = (
                    f"{trunk:>8} {precision:>8} {n:>8,} {batch:>6} | {cells(ours)} | {cells(plain)} "
                    f"{ours['step'] / plain['step']:>9.2f}x | {default['step'] * 1e6:>7.0f} "
                    f"{ours['step'] / default['step']:>7.2f}x"
                )
                if with_snorkel:
                    snorkel = found["snorkel"]
                    line += f" | {snorkel['step'] * 1e6:>8.0f} {snorkel['memory']:>5.0f}"
                    line += f" {snorkel['step'] / ours['step']:>11.1f}x"
                print(line, flush=True)


def cells(found: dict[str, float]) -> str:
    return f"{found['step'] * 1e6:>7.0f} {found['memory']:>5.0f} {found['loss']:>6.3f}"


def predict_table(sizes: list[int], **settings: Any) -> None:
    print(
        f"\npredicting: milliseconds for all rows, MB above the input on {settings['device']}\n"
        f"{'rows':>8} {'batch':>6} | {'ours':>7} {'MB':>5} | {'plain':>7} {'MB':>5} {'ours/plain':>10} | "
        f"{'Snorkel':>8} {'MB':>5} {'Snorkel/ours':>12}"
    )
    for n in sizes:
        for batch in BATCHES:
            spec = {"what": "predict", "n": n, "batch": batch, "hidden": SMALL}
            found = in_turns(["ours", "plain", "snorkel"], **settings, **spec)
            ours, plain, snorkel = (found[name] for name in ("ours", "plain", "snorkel"))
            print(
                f"{n:>8,} {batch:>6} | {ours['seconds'] * 1e3:>7.1f} {ours['memory']:>5.0f} | "
                f"{plain['seconds'] * 1e3:>7.1f} {plain['memory']:>5.0f} "
                f"{ours['seconds'] / plain['seconds']:>9.2f}x | {snorkel['seconds'] * 1e3:>8.1f} "
                f"{snorkel['memory']:>5.0f} {snorkel['seconds'] / ours['seconds']:>11.1f}x",
                flush=True,
            )


def parts_table(**settings: Any) -> None:
    n, batch = SIZES[0], BATCHES[0]
    names = ["nothing", "evaluation", "JSON log", "TensorBoard log", "checkpoint"]
    found = in_turns(names, what="parts", n=n, batch=batch, hidden=SMALL, **{**settings, "cpu_time": False})
    steps = math.ceil(n / batch)
    seconds = {name: found[name]["seconds"] for name in names}
    print(
        f"\nwhat else a training costs: {n:,} rows, batch {batch}, 5,000 rows to evaluate\n"
        f"{'':>16} {'ms each':>8} {f'us per step, every {PARTS_EVERY}':>24}"
        f"   a step without: {seconds['nothing'] / steps * 1e6:.0f} us (wall time)"
    )
    for name in names[1:]:
        added = seconds[name] - seconds["nothing" if name == "evaluation" else "evaluation"]
        each = added / math.ceil(steps / PARTS_EVERY)
        print(f"{name:>16} {each * 1e3:>8.2f} {each / PARTS_EVERY * 1e6:>24.1f}", flush=True)


def run_child(spec: dict[str, Any]) -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    measure = {"fit": child_fit, "predict": child_predict, "parts": child_parts}[spec["what"]]
    measure(spec, random_data(spec["n"], spec["device"]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument("--wide", action="store_true", help="bf16 and the 4 x 1024 trunk on the CPU too")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--child", metavar="SPEC", type=json.loads)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.cpu_time and (options.device != "cpu" or os.environ["OMP_NUM_THREADS"] != "1"):
        parser.error("--cpu-time needs --device cpu and OMP_NUM_THREADS=1")
    if options.child:
        run_child(options.child)
        return
    where = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    clock = "processor time" if options.cpu_time else "wall time"
    print(f"{where}, torch {torch.__version__}, OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}, {clock}")
    rounds = 5 if options.quick else 12
    sizes = SIZES[:1] if options.quick else SIZES
    settings = {"rounds": rounds, "device": options.device, "cpu_time": options.cpu_time}
    training_table(sizes, [(SMALL, "float32")], **settings)
    if options.device == "cuda" or options.wide:
        training_table(sizes[:1], [(SMALL, "bf16"), (WIDE, "float32"), (WIDE, "bf16")], **settings)
    predict_table(sizes, **settings)
    parts_table(**settings)


if __name__ == "__main__":
    main()
