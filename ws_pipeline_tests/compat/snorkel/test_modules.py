"""Scripts written for Snorkel, run in processes of their own: with one line, and with none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
INSTALL = "from ws_pipeline.compat.snorkel import install, uninstall; install()\n"
SCRIPT = """
import sys
import numpy as np
import pandas as pd
from snorkel.labeling import LFAnalysis, PandasLFApplier, labeling_function
from snorkel.labeling.model import MajorityLabelVoter
from snorkel.preprocess import preprocessor
from helper import THRESHOLD

@preprocessor(memoize=True)
def lower(x):
    x.text = x.text.lower()
    return x

@labeling_function(pre=[lower])
def shouts(x):
    return 1 if "check" in x.text else -1

@labeling_function()
def is_long(x):
    return 0 if len(x.text) > THRESHOLD else -1

@labeling_function()
def asks(x):
    return 1 if "?" in x.text else 0

frame = pd.DataFrame({"text": ["CHECK it?", "a long comment", "so what", "check out a long one?"] * 10})
L = PandasLFApplier([shouts, is_long, asks]).apply(frame, progress_bar=False)
found = MajorityLabelVoter(cardinality=2).predict(L)[:2].tolist()
print(__name__, sys.argv[1:], sys.path[0] == PLACE, found, LFAnalysis(L).label_coverage())
"""


def run(*arguments, cwd, code=0):
    """What a Python process prints, standard error after standard output."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def script(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "helper.py").write_text("import snorkel.analysis\nTHRESHOLD = 10\n")
    file = folder / "script.py"
    file.write_text(f"PLACE = {str(folder)!r}\n{SCRIPT}")
    return file


def test_a_script_runs_with_one_added_line(script):
    script.write_text(INSTALL + script.read_text())
    assert run(script, "a", "b", cwd=script.parent.parent) == "__main__ ['a', 'b'] True [1, 0] 1.0\n"


def test_a_script_runs_as_it_is(script, tmp_path):
    found = run("-m", "ws_pipeline.compat.snorkel", script, "-a", "--b", cwd=tmp_path)
    assert found == "__main__ ['-a', '--b'] True [1, 0] 1.0\n"


def test_a_module_runs_as_it_is(script):
    found = run("-m", "ws_pipeline.compat.snorkel", "-m", "script", "a", cwd=script.parent)
    assert found == "__main__ ['a'] True [1, 0] 1.0\n"


def test_an_error_of_the_script_ends_it_as_python_does(tmp_path):
    (tmp_path / "fails.py").write_text("import sys, snorkel\nsys.exit(3)\n")
    run("-m", "ws_pipeline.compat.snorkel", "fails.py", cwd=tmp_path, code=3)
    (tmp_path / "fails.py").write_text("import snorkel\n1 / 0\n")
    assert "ZeroDivisionError" in run("-m", "ws_pipeline.compat.snorkel", "fails.py", cwd=tmp_path, code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 1, "usage: python -m ws_pipeline.compat.snorkel"),
        (["--unknown"], 1, "usage:"),
        (["-m"], 1, "usage:"),
        (["--help"], 0, "usage:"),
        (["nowhere.py"], 1, "there is no file 'nowhere.py'"),
    ],
)
def test_a_call_without_a_script_says_how_to_call_it(arguments, code, words, tmp_path):
    assert words in run("-m", "ws_pipeline.compat.snorkel", *arguments, cwd=tmp_path, code=code)


def run_code(text, tmp_path, **kwargs):
    return run("-c", text, cwd=tmp_path, **kwargs)


def test_nothing_heavy_is_imported_before_it_is_used(tmp_path):
    heavy = "print(sorted({'torch', 'pandas', 'sklearn'} & set(sys.modules)))\n"
    code = (
        f"import sys\n{INSTALL}import snorkel.classification.training.loggers, snorkel.slicing.utils\n"
        "from snorkel.labeling import labeling_function, PandasLFApplier\n"
        f"from snorkel.labeling.model import LabelModel\n{heavy}"
        f"from snorkel.classification import Task\n{heavy}"
    )
    found = run_code(code, tmp_path).splitlines()
    assert found[0] == "[]"
    assert "torch" in found[1]


def test_the_name_means_this_package_even_where_snorkel_is_installed(tmp_path):
    (tmp_path / "snorkel").mkdir()
    (tmp_path / "snorkel" / "__init__.py").write_text("raise AssertionError\n")
    code = (
        f"{INSTALL}install()\nimport snorkel, ws_pipeline.labeling as own, importlib.util, pickle\n"
        "from snorkel.labeling import *\n"
        "import snorkel.labeling.model.label_model as module\n"
        "print(LFApplier is own.LFApplier, module.LabelModel is own.LabelModel)\n"
        "print(snorkel.labeling.lf.__name__)\n"
        "print(snorkel.__version__, 'LFAnalysis' in dir(snorkel.labeling), hasattr(snorkel, 'nothing'))\n"
        "print(pickle.loads(pickle.dumps(module)) is module, importlib.util.find_spec('snorkel').origin)\n"
    )
    assert run_code(code, tmp_path).splitlines() == [
        "True True",
        "snorkel.labeling.lf",
        "0.10.0+ws.pipeline True False",
        "True ws_pipeline.compat.snorkel",
    ]


def test_it_is_refused_where_snorkel_itself_is_imported_already(tmp_path):
    (tmp_path / "snorkel").mkdir()
    file = tmp_path / "snorkel" / "__init__.py"
    file.write_text("")
    found = run_code(f"import snorkel\n{INSTALL}", tmp_path, code=1)
    assert f"Snorkel itself is already imported (snorkel, from {file}); call install() before" in found
    assert "ws_pipeline.errors.SnorkelImportError" in found


def test_it_can_be_undone(tmp_path):
    (tmp_path / "snorkel").mkdir()
    (tmp_path / "snorkel" / "__init__.py").write_text("mark = 'installed'\n")
    code = (
        f"{INSTALL}import snorkel.labeling\nuninstall()\nimport snorkel, sys\n"
        "print(snorkel.mark, sys.modules.get('snorkel.labeling'))"
    )
    assert run_code(code, tmp_path) == "installed None\n"


MISSING = {
    "from snorkel.labeling import nlp_labeling_function": "import it from snorkel.labeling.lf.nlp",
    "import snorkel.models": "Snorkel 0.7 and older",
    "from snorkel import SnorkelSession": "Snorkel 0.7 and older",
    "from snorkel.labeling.model.logger import Logger": "LabelModel.history_",
    "from snorkel.labeling.apply.dask import DaskLFApplier as D; D([])": "as a shard",
    "from snorkel.labeling.apply.spark import SparkLFApplier as S; S([])": "SparkLFApplier has no",
    "from snorkel.slicing.apply.spark import SparkSFApplier as S; S([])": "PandasParallelLFApplier",
}


def test_what_is_missing_is_an_error_with_our_words(tmp_path):
    tries = [f"try:\n    {code}\nexcept ImportError as found:\n    print(found)\n" for code in MISSING]
    lines = run_code(INSTALL + "".join(tries), tmp_path).splitlines()
    for line, words in zip(lines, MISSING.values(), strict=True):
        assert words in line


def test_an_attribute_that_is_missing_is_an_attribute_error(tmp_path):
    found = run_code(f"{INSTALL}import snorkel.labeling\nsnorkel.labeling.LFAnalysys", tmp_path, code=1)
    assert "SnorkelNameError: ws_pipeline has no 'snorkel.labeling.LFAnalysys': did you mean 'LFA" in found
    code = f"{INSTALL}import snorkel.labeling\nprint(getattr(snorkel.labeling, 'nothing', 'default'))"
    assert run_code(code, tmp_path) == "default\n"


def test_lfs_go_to_other_processes_with_the_modules_they_use(tmp_path):
    (tmp_path / "my_lfs.py").write_text(
        "import snorkel\nimport snorkel.utils\nfrom snorkel.labeling import labeling_function\n"
        "@labeling_function()\ndef lf(x):\n    import snorkel.analysis\n"
        "    return int(snorkel.utils.probs_to_preds([[0.2, 0.8]])[0]) if x.n else help_me()\n"
        "def help_me():\n    return 0\n"
    )
    (tmp_path / "script.py").write_text(
        "import pandas as pd\nfrom my_lfs import lf\n"
        "from snorkel.labeling.apply.dask import PandasParallelLFApplier\n"
        "from snorkel.slicing import slicing_function\n"
        "from snorkel.slicing.apply.dask import PandasParallelSFApplier\n"
        "frame = pd.DataFrame({'n': [0, 1, 1, 0]})\n"
        "print(PandasParallelLFApplier([lf]).apply(frame, n_parallel=2).ravel())\n"
        "big = slicing_function(name='big')(lambda x: x.n > 0)\n"
        "print(PandasParallelSFApplier([big]).apply(frame, n_parallel=2)['big'])\n"
    )
    found = run("-m", "ws_pipeline.compat.snorkel", "script.py", cwd=tmp_path)
    assert found == "[0 1 1 0]\n[0 1 1 0]\n"
