"""Makes the Parquet files of the digits demo, byte for byte: examples with gold labels, votes on two tasks.

    python data/digits/make_data.py [--out DIR]    write the files (default: beside this script)
    python data/digits/make_data.py --report       print one table per task, one row per labeling function

The images are the 1,797 handwritten digits that scikit-learn ships. Start reading at `write_all`; the
labeling functions themselves are in labeling_functions.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from labeling_functions import ABSTAIN, CLASSES, LABELING_FUNCTIONS, Sample
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Splits = NDArray[np.str_]

SHARDS = 3
SPLIT_SEED = 2024
TRAIN_ROWS, VALID_ROWS = 1100, 250  # the rest is test
PROTOTYPES_PER_CLASS = 5


def load_images() -> tuple[Ints, Ints]:
    """Images [n, 8, 8] with pixels 0..16, and their digits [n]."""
    digits = load_digits()
    return digits.images.astype(np.int64), digits.target.astype(np.int64)


def gold_labels(digits: Ints) -> dict[str, Ints]:
    """Gold label of every example, per task."""
    return {"digit": digits, "parity": digits % 2}


def draw_splits(n: int) -> Splits:
    """Split of every example, drawn independently of the shards, [n]."""
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    splits = np.full(n, "test", dtype="U5")
    splits[order[:TRAIN_ROWS]] = "train"
    splits[order[TRAIN_ROWS : TRAIN_ROWS + VALID_ROWS]] = "valid"
    return splits


def pick_prototypes(digits: Ints, splits: Splits) -> Ints:
    """Rows of the first few train images of each digit."""
    firsts = [np.flatnonzero((digits == d) & (splits == "train"))[:PROTOTYPES_PER_CLASS] for d in range(10)]
    return np.concatenate(firsts)


def cast_votes(task: str, images: Ints, digits: Ints, prototypes: Ints) -> dict[str, Ints]:
    """Votes [n] of every labeling function of a task; of `digits`, only the prototypes' are looked at."""
    sample = Sample(images, images[prototypes], digits[prototypes])
    return {name: function(sample) for name, function in LABELING_FUNCTIONS[task].items()}


def examples_table(images: Ints, digits: Ints, splits: Splits) -> pa.Table:
    """Table of all examples: id, split, pixels in [0, 1], gold label of each task."""
    pixels = pa.array((images / 16).astype(np.float32).ravel())
    columns = {
        "example_id": pa.array(np.arange(len(images))),
        "split": pa.array(splits.tolist(), pa.string()),
        "pixels": pa.FixedSizeListArray.from_arrays(pixels, 64),
    }
    gold = {task: pa.array(labels.astype(np.int8)) for task, labels in gold_labels(digits).items()}
    return pa.table(columns | gold)


def votes_table(votes: dict[str, Ints]) -> pa.Table:
    """Table of the votes on all examples: id, one column per labeling function; null is an abstention."""
    n = len(next(iter(votes.values())))
    columns = {name: pa.array(vote.astype(np.int8), mask=vote == ABSTAIN) for name, vote in votes.items()}
    return pa.table({"example_id": pa.array(np.arange(n)), **columns})


def write_shards(table: pa.Table, folder: Path) -> None:
    """Cut a table into shards of neighbouring rows and write each as one file."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard, rows in enumerate(np.array_split(np.arange(len(table)), SHARDS)):
        part = table.slice(rows[0], len(rows)).combine_chunks()
        pq.write_table(part, folder / f"part-{shard}.parquet", compression="zstd", compression_level=9)


def write_all(out: Path) -> None:
    """Write every file of the demo below a folder."""
    images, digits = load_images()
    splits = draw_splits(len(images))
    prototypes = pick_prototypes(digits, splits)
    write_shards(examples_table(images, digits, splits), out / "examples")
    for task in CLASSES:
        write_shards(votes_table(cast_votes(task, images, digits, prototypes)), out / "votes" / task)


def report() -> str:
    """One markdown table per task: what each labeling function looks at, how it does on train rows."""
    images, digits = load_images()
    splits = draw_splits(len(images))
    prototypes = pick_prototypes(digits, splits)
    train = splits == "train"
    header = ["", "| name | looks at | votes for | coverage | accuracy |", "|---|---|---|--:|--:|"]
    lines: list[str] = []
    for task, gold in gold_labels(digits).items():
        lines += [f"### {task}", *header]
        for name, votes in cast_votes(task, images, digits, prototypes).items():
            looks_at = (LABELING_FUNCTIONS[task][name].__doc__ or "").rstrip(".")
            voted = train & (votes != ABSTAIN)
            coverage, accuracy = voted.sum() / train.sum(), (votes == gold)[voted].mean()
            classes = name_classes(task, votes)
            lines.append(f"| {name} | {looks_at} | {classes} | {coverage:.3f} | {accuracy:.3f} |")
        lines.append("")
    return "\n".join(lines)


def name_classes(task: str, votes: Ints) -> str:
    """Names of the classes that are voted for, `all` if none is left out."""
    voted = np.unique(votes[votes != ABSTAIN])
    return "all" if len(voted) == len(CLASSES[task]) else ", ".join(CLASSES[task][c] for c in voted)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Make the Parquet files of the digits demo.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--report", action="store_true", help="print tables of the votes, write nothing")
    arguments = parser.parse_args()
    if arguments.report:
        print(report())
    else:
        write_all(arguments.out)


if __name__ == "__main__":
    main()
