"""Texts of the files of a new pipeline: pipeline.yaml, lfs.py and README.md."""

from __future__ import annotations

import json
import keyword
import shlex
from collections.abc import Sequence
from pathlib import Path

from ws_pipeline.importing.folder import in_yaml

CLASSES = ("ham", "spam")  # of a new pipeline, to be replaced

_SPEC = """\
# The project's data/README.md describes every key.  What is commented out shows the default.
name: {name}

tasks:
  {yaml_task}:  # a name; if there is a column of this name in the examples, it holds gold labels
    classes: [{classes}]         # names of the classes; votes may be names, or places: 0, 1, ...
    # The functions vote on the columns of examples/*.parquet.  If you have votes, delete this line, and
    # bring votes/{task}/*.parquet, a column per labeling function.
    labeling_functions: lfs.py
"""
_TASK_KEYS = """\
    # multi_label: false          # true: an example may have any number of the classes; votes are lists
    # label_lists: complete       # partial: a class that is not in such a list is an abstain, no vote for no
    # lf_columns: null            # list of the labeling functions that count; null: all
    # superclasses: {}            # name to several of the classes, which a vote may also be for
    # label_model: {kind: auto}   # how votes become labels: auto, majority, lift_dawid_skene, ...
    # class_balance: null         # P(class) as a list, or from_gold; null: estimated
    # min_confidence: 0.0         # leave less sure labels out of the training
    # no_votes: abstain           # class of the examples without any vote; abstain: they have none
    # min_coverage: 0.1           # warn if a smaller share of the examples has a vote
    # max_drift: 0.1              # warn if coverage or class shares change by more between two runs
"""
_NO_MODEL = """
# The pipeline ends at the labels.  To train an end model on them, have examples in each of train, valid and
# test, and write in place of the next line "features: {text: {kind: tfidf_svd}}", to make numbers of the
# texts; or delete it, and add columns of numbers, such as embeddings, to the examples.
model: null
"""
_TOP_KEYS = """
# Further keys.
# model: {hidden: [100, 64], dropout: 0.0, activation: relu}   # the end model: layers of a perceptron
# trainer: {n_epochs: 30, lr: 0.001, batch_size: 64}           # how it is trained
# feature_columns: null    # list of the columns that feed the end model; null: all that hold numbers
# column_types: {}         # column of CSV files to integer, number, boolean or text; {}: text
# features: {}             # column of text to what makes numbers of it for the end model
# filter_uncovered: true   # train on examples with votes only
# prefix: null             # what names of assets begin with; pipelines loaded together need different ones
# owners: []               # e-mail addresses, or teams as team:<name>
# tags: {}                 # to find assets and jobs by in the UI
# automation: {schedule: 0 3 * * 1, timezone: UTC, enabled: false, interval_seconds: 30}   # reruns
# source: null             # url, examples and votes of tables of a database, in place of files
# data: .                  # folder or URL of examples/ and votes/, from this file on
"""

_LFS = '''"""Labeling functions: each votes for a class by its number, or abstains.

The numbers are the places of the classes in pipeline.yaml.  All labeling functions of this file vote on the
columns of examples/*.parquet; splits and gold labels are hidden from them.  Those that you change run again,
the others do not.
"""

from ws_pipeline.labeling import keyword_lf, labeling_function

{numbers}
ABSTAIN = -1


@labeling_function()
def long_text(x):
    """Row by row: the columns of an example are the attributes of x."""
    return {first} if x.text and len(x.text.split()) > 20 else ABSTAIN


@labeling_function(vectorized=True)
def shouts(df):
    """All rows at once, which is faster: df is a DataFrame, the result has a vote for each of its rows."""
    return df["text"].fillna("").str.isupper().map({{True: {second}, False: ABSTAIN}})


# ready-made: also regex_lf, threshold_lf, lookup_lf and model_lf
offers = keyword_lf("offers", ["free", "win", "prize"], {second}, column="text")
'''

_README = """\
# {name}

## What to bring

Files `examples/<any name>.parquet` (or `.csv`, `.tsv`, `.jsonl`), with the columns

| column | holds |
|---|---|
| `example_id` | integers or text, unique in all files |
| `split` | `train`, `valid` or `test` |
| `text` | what the functions in `lfs.py` read; they may read any other column, too |
| `{task}` | optional: gold labels, names of classes or their places 0, 1, ...; null where unknown |
| others | optional: numbers, or lists of numbers, for an end model |

A few gold labels in `valid` tell whether the labels are better than the plain vote; those in `test` score
them.  With pandas:

```python
import pandas as pd

frame = pd.DataFrame(
    {{
        "example_id": [1, 2, 3, 4],
        "split": ["train", "train", "valid", "test"],
        "text": ["WIN A PRIZE", "see you tomorrow", "a free gift", "thanks"],
        "{task}": [None, None, "{second}", "{first}"],
    }}
)
frame.to_parquet({file}, index=False)
```

Then write your classes into `pipeline.yaml`, and your labeling functions into `lfs.py`.

## What to run

    python -m ws_pipeline check {quoted_folder}    # every problem of the files, and what the functions vote
    python -m ws_pipeline {quoted_spec}
"""
_README_OF_IMPORT = """\
# {name}

Imported: `examples/` holds the examples, `votes/{task}/` the votes.  To add more, put further files of the
same columns and of one name into both folders.

`lfs.py` is not used yet.  To let labeling functions vote, add a task to `pipeline.yaml` with `classes` and
`labeling_functions: lfs.py`; they read the columns of the examples.

## What to run

    python -m ws_pipeline check {quoted_folder}    # every problem of the files, and what the sources vote
    python -m ws_pipeline {quoted_spec}
"""


def spec_text(name: str, task: str) -> str:
    """The pipeline.yaml of a new pipeline: a task with labeling functions, and all other keys in comments."""
    active = _SPEC.format(name=in_yaml(name), task=task, yaml_task=in_yaml(task), classes=", ".join(CLASSES))
    return f"{active}{_TASK_KEYS}{_NO_MODEL}{_TOP_KEYS}"


def keys_text() -> str:
    """The keys of a pipeline.yaml with their defaults, in comments."""
    return f"\n# Further keys of a task.\n{_TASK_KEYS.replace('    #', '#')}{_TOP_KEYS}"


def lfs_text(classes: Sequence[str]) -> str:
    """Examples of labeling functions that vote for the first two classes."""
    first, second = _constants(classes)
    return _LFS.format(numbers=f"{first}, {second} = 0, 1", first=first, second=second)


def readme_text(folder: Path, name: str, task: str) -> str:
    """What to bring, and what to run."""
    first, second = CLASSES
    file = json.dumps(str(folder / "examples" / "first.parquet"), ensure_ascii=False)
    return _README.format(name=name, task=task, first=first, second=second, file=file, **_quoted(folder))


def readme_of_import(folder: Path, name: str, task: str) -> str:
    """What there is, and what to run."""
    return _README_OF_IMPORT.format(name=name, task=task, **_quoted(folder))


def _quoted(folder: Path) -> dict[str, str]:
    """Paths as a shell takes them."""
    spec = str(folder / "pipeline.yaml")
    return {"quoted_folder": shlex.quote(str(folder)), "quoted_spec": shlex.quote(spec)}


def _constants(classes: Sequence[str]) -> tuple[str, str]:
    """Names of constants for the first two classes."""
    names = [name.upper().replace(" ", "_") for name in classes[:2]]
    usable = all(name.isidentifier() and not keyword.iskeyword(name) and name != "ABSTAIN" for name in names)
    return (names[0], names[1]) if usable and names[0] != names[1] else ("FIRST", "SECOND")
