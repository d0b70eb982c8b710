"""Labeling functions found in files and modules."""

import re
import sys
from types import ModuleType

import pandas as pd
import pytest

from ws_pipeline.errors import FileAccessError, LabelingFunctionError
from ws_pipeline.labeling.functions import apply_by_lf as apply_module
from ws_pipeline.labeling.functions.apply_by_lf import apply_by_lf
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint
from ws_pipeline.labeling.functions.lf_modules import load_labeling_functions, take_by_name

FILE = """
from ws_pipeline.labeling import keyword_lf, labeling_function
from words_of_mine import WORDS

ABSTAIN = -1

@labeling_function()
def second_by_name(x):
    return 1 if any(word in x.text for word in WORDS) else ABSTAIN

keywords = [keyword_lf(word, [word], 1) for word in WORDS]
again = second_by_name

@labeling_function("first")
def _named(x):
    return 0

def helper(x):
    return x
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "words_of_mine.py").write_text("WORDS = ['win', 'free']\n")
    (tmp_path / "lfs.py").write_text(FILE)
    yield tmp_path
    sys.modules.pop("words_of_mine", None)


def names(lfs):
    return [lf.name for lf in lfs]


def test_all_are_found_in_the_order_of_their_definition(folder):
    lfs = load_labeling_functions("lfs.py", folder=folder)
    assert names(lfs) == ["second_by_name", "win", "free", "first"]
    assert str(folder) not in sys.path
    assert names(load_labeling_functions(str(folder / "lfs.py"))) == names(lfs)


def test_a_file_is_read_again_when_its_text_changes(folder):
    before = load_labeling_functions("lfs.py", folder=folder)
    assert load_labeling_functions("lfs.py", folder=folder)[0] is before[0]
    fingerprints = {lf.name: lf_fingerprint(lf) for lf in before}
    (folder / "lfs.py").write_text(FILE.replace("return 0", "return 1"))
    # a function that was read before is what it was, whatever the file says now
    assert {lf.name: lf_fingerprint(lf) for lf in before} == fingerprints
    after = load_labeling_functions("lfs.py", folder=folder)
    assert (before[-1](None), after[-1](None)) == (0, 1)
    assert names(after) == names(before)
    assert [lf.name for lf in after if lf_fingerprint(lf) != fingerprints[lf.name]] == ["first"]


@pytest.mark.parametrize("reference", ["lfs.py", "lfs_by_name"])
def test_a_module_that_the_functions_read_is_read_again_too(folder, monkeypatch, reference):
    monkeypatch.syspath_prepend(folder)
    (folder / "lfs_by_name.py").write_text(FILE)
    before = {lf.name: lf_fingerprint(lf) for lf in load_labeling_functions(reference, folder=folder)}
    (folder / "words_of_mine.py").write_text("WORDS = ['prize', 'win', 'free']\n")
    after = {lf.name: lf_fingerprint(lf) for lf in load_labeling_functions(reference, folder=folder)}
    assert list(after) == ["second_by_name", "prize", "win", "free", "first"]
    assert [name for name in before if before[name] != after[name]] == ["second_by_name"]
    sys.modules.pop("lfs_by_name", None)


def test_functions_of_a_file_run_in_other_processes(folder, monkeypatch):
    monkeypatch.setattr(apply_module, "_PART_ROWS", 2)
    lfs = load_labeling_functions("lfs.py", folder=folder)
    frame = pd.DataFrame({"text": ["win", "lose", "free", ""]})
    applied = apply_by_lf(lfs, frame, n_processes=2)
    assert {name: votes.tolist() for name, votes in applied.votes.items()} == {
        "second_by_name": [1, -1, 1, -1],
        "win": [1, -1, -1, -1],
        "free": [-1, -1, 1, -1],
        "first": [0, 0, 0, 0],
    }


def test_two_files_of_one_name_are_two_modules(folder):
    other = folder / "other"
    other.mkdir()
    (other / "words_of_mine.py").write_text("WORDS = ['win', 'free']\n")
    (other / "lfs.py").write_text(FILE.replace("return 0", "return 1"))
    first = load_labeling_functions("lfs.py", folder=folder)[-1]
    second = load_labeling_functions("lfs.py", folder=other)[-1]
    assert (first(None), second(None)) == (0, 1)


def test_each_file_has_the_modules_that_are_beside_it(folder, monkeypatch):
    monkeypatch.setattr(apply_module, "_PART_ROWS", 2)
    other = folder / "other"
    other.mkdir()
    (other / "lfs.py").write_text(FILE)
    (other / "words_of_mine.py").write_text("WORDS = ['lose']\n")
    first, second = (load_labeling_functions("lfs.py", folder=each) for each in (folder, other))
    assert names(second) == ["second_by_name", "lose", "first"]
    assert "words_of_mine" not in sys.modules
    frame = pd.DataFrame({"text": ["win", "lose", "free", ""]})
    for lfs, expected in ((first, [1, -1, 1, -1]), (second, [-1, 1, -1, -1])):
        for n_processes in (1, 2):
            votes = apply_by_lf(lfs, frame, n_processes=n_processes).votes["second_by_name"]
            assert votes.tolist() == expected


def test_other_modules_of_the_same_names_stay_as_they_are(folder, monkeypatch):
    other = ModuleType("words_of_mine")
    monkeypatch.setitem(sys.modules, "words_of_mine", other)
    assert names(load_labeling_functions("lfs.py", folder=folder))[1:3] == ["win", "free"]
    assert sys.modules["words_of_mine"] is other


def test_a_module_by_name(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    (folder / "lfs_of_mine.py").write_text(FILE)
    assert names(load_labeling_functions("lfs_of_mine"))[-1] == "first"
    sys.modules.pop("lfs_of_mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "lfs.py: found no labeling function; decorate functions with @labeling_function()"),
        ("def spam(x): return 1\n", "'spam' is a plain function; decorate it with @labeling_function()"),
        ("def spam(x)\n", r"lfs.py, line 1: cannot be imported: SyntaxError: "),
        ("\n\n1 / 0\n", "lfs.py, line 3: cannot be imported: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit()\n", "lfs.py, line 2: cannot be imported: SystemExit"),
        ("import nowhere_at_all\n", "lfs.py, line 1: cannot be imported: ModuleNotFoundError"),
        (
            (
                "from ws_pipeline.labeling import LabelingFunction\n"
                "a, b = LabelingFunction('a', len), LabelingFunction('a', len)\n"
            ),
            "2 labeling functions are called 'a'; give each a name of its own",
        ),
        (
            ("class LabelingFunction: pass\nspam = LabelingFunction()\n"),
            "'spam' is one of another package; import labeling_function from ws_pipeline.labeling",
        ),
    ],
)
def test_files_without_usable_functions(folder, text, said):
    (folder / "lfs.py").write_text(text)
    with pytest.raises(LabelingFunctionError, match=said):
        load_labeling_functions("lfs.py", folder=folder)


def test_what_is_not_there(folder):
    with pytest.raises(FileAccessError, match=re.escape(str(folder / "lf.py"))):
        load_labeling_functions("lf.py", folder=folder)
    with pytest.raises(LabelingFunctionError, match=r"no_such_module.*there is no module 'no_such_module'"):
        load_labeling_functions("no_such_module.lfs")


def test_listed_functions_are_taken_in_the_order_of_the_list(folder):
    lfs = load_labeling_functions("lfs.py", folder=folder)
    assert names(take_by_name(lfs, ["first", "win"], where="lfs.py")) == ["first", "win"]
    assert take_by_name(lfs, None, where="lfs.py") == lfs
    with pytest.raises(LabelingFunctionError, match=r"lfs.py: there is no .* 'frist', did you mean 'first'"):
        take_by_name(lfs, ["frist"], where="lfs.py")
