"""Fingerprints of labeling functions: what changes them, and what does not."""

import subprocess
import sys

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
