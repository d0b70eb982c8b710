"""Fingerprints of labeling functions: what changes them, and what does not."""

import datetime as dt
import subprocess
import sys
from collections import deque
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from ws_pipeline.labeling import LabelingFunction, labeling_function, preprocessor
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint

WORDS = ["win", "free"]


def has_word(text):
    return any(word in text for word in WORDS)


def votes(x, label=1):
    return label if has_word(x.text) else -1


@preprocessor(memoize=True)
def lower(x):
    x.text = x.text.lower()
    return x


@preprocessor()
def upper(x):
    x.text = x.text.upper()
    return x


def make(name="lf", f=votes, **settings):
    return LabelingFunction(name, f, **settings)


def test_equal_functions_have_equal_fingerprints():
    assert lf_fingerprint(make()) == lf_fingerprint(make())
    assert len(lf_fingerprint(make())) == 16
    # a name is that of the column, which is kept by name
    assert lf_fingerprint(make("other")) == lf_fingerprint(make())


@pytest.mark.parametrize(
    "changed",
    [
        make(f=lambda _x: 1),
        make(resources={"label": 0}),
        make(resources={"label": 1}),
        make(version="2"),
        make(pre=[lower]),
        labeling_function("lf", vectorized=True)(votes),
    ],
    ids=["function", "resources", "other resources", "version", "preprocessor", "vectorized"],
)
def test_what_decides_the_votes_changes_it(changed):
    assert lf_fingerprint(changed) != lf_fingerprint(make())


def test_another_preprocessor_changes_it():
    assert lf_fingerprint(make(pre=[lower])) != lf_fingerprint(make(pre=[upper]))


def test_a_word_in_a_global_list_of_a_helper_changes_it(monkeypatch):
    before = lf_fingerprint(make())
    monkeypatch.setitem(globals(), "WORDS", ["win"])
    assert lf_fingerprint(make()) != before


class Settings:
    """An object of one's own that hides what it holds."""

    __slots__ = ("_kept", "word")

    def __init__(self, word):
        self.word = word
        self._kept = word

    @classmethod
    def limit(cls):
        return LIMIT


LIMIT = 3
HELD = None


def reads_held(x):
    return 1 if x == HELD else -1


def reads_class(x):
    return Settings.limit() if x else -1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
        (pd.Series(["a"]), pd.Series(["b"])),
        (dt.date(2026, 1, 1), dt.date(2026, 1, 2)),
        (Decimal("0.1"), Decimal("0.2")),
        (deque(["a"]), deque(["b"])),
        (Settings("a"), Settings("b")),
        (pa.table({"a": [1]}), pa.table({"a": [2]})),
        (lambda x: x, lambda x: -x),
    ],
    ids=lambda value: type(value).__name__,
)
def test_objects_of_many_types_count_by_what_they_hold(monkeypatch, old, new):
    found = []
    for held in (old, new, old):
        monkeypatch.setitem(globals(), "HELD", held)
        found.append(lf_fingerprint(make(f=reads_held)))
        found.append(lf_fingerprint(make(resources={"held": held})))
    assert found[:2] == found[4:]
    assert found[0] != found[2]
    assert found[1] != found[3]


def test_class_methods_count(monkeypatch):
    before = lf_fingerprint(make(f=reads_class))
    monkeypatch.setitem(globals(), "LIMIT", 4)
    assert lf_fingerprint(make(f=reads_class)) != before


def test_what_a_preprocessor_remembers_does_not_change_it():
    from types import SimpleNamespace

    lf = make(pre=[lower])
    before = lf_fingerprint(lf)
    assert lf(SimpleNamespace(text="WIN")) == 1
    assert lf_fingerprint(lf) == before


def test_another_process_finds_the_same(tmp_path):
    module = tmp_path / "some_lfs.py"
    module.write_text(
        "from ws_pipeline.labeling import labeling_function\n"
        "WORDS = {'free', 'win', 'prize', 'gold'}\n"
        "@labeling_function(resources={'label': 1})\n"
        "def spam(x, label):\n    return label if any(w in x.text for w in WORDS) else -1\n"
    )
    script = (
        "import some_lfs; from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint; "
        "print(lf_fingerprint(some_lfs.spam))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
