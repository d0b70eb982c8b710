"""The command check applies labeling functions, and names all that fail."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

LFS = """
from ws_pipeline.labeling import keyword_lf, labeling_function

@labeling_function()
def offers(x):
    return 1 if "free" in x.text else -1

thanks = keyword_lf("thanks", ["thanks"], 0)
"""
FAILING = """
@labeling_function()
def asks(x):
    return 1 if x.subject == "?" else -1

@labeling_function(vectorized=True)
def shouts(df):
    return df.text.str.isupper().map({True: 5, False: -1})
"""


def replace(file, name, values):
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), file)


@pytest.fixture
def mail(tmp_path):
    """A pipeline whose votes are made by labeling functions."""
    folder = tmp_path / "mail"
    (folder / "examples").mkdir(parents=True)
    texts = ["a free gift", "thanks", "nothing", "FREE"] * 10
    for first, shard in ((0, "monday"), (100, "tuesday")):
        frame = {
            "example_id": np.arange(first, first + 40),
            "split": ["train", "valid", "test", "train"] * 10,
            "text": texts,
            "spam": ["spam", "ham", "ham", "spam"] * 10,
        }
        pd.DataFrame(frame).to_parquet(folder / "examples" / f"{shard}.parquet", index=False)
    (folder / "lfs.py").write_text(LFS)
    write_mail_spec(folder)
    return folder


def write_mail_spec(folder, **functions):
    spam = {"classes": ["ham", "spam"], "labeling_functions": {"module": "lfs.py"} | functions}
    (folder / "pipeline.yaml").write_text(yaml.safe_dump({"model": None, "tasks": {"spam": spam}}))


def test_labeling_functions_are_applied_and_summarised(mail, check):
    found = check(mail)
    assert (found.status, found.problems, found.warnings) == (0, [], [])
    lines = [line.split() for line in found.text.splitlines()]
    assert ["offers", "20", "0.250", "0.000", "0.000", "1.000", "20", "spam"] in lines
    assert ["thanks", "20", "0.250", "0.000", "0.000", "1.000", "20", "ham"] in lines
    assert "40 votes: ham 50.0%, spam 50.0%" in found.text


def test_every_labeling_function_that_fails_is_reported_and_the_others_are_summarised(mail, check):
    (mail / "lfs.py").write_text(LFS + FAILING)
    frame = pd.read_parquet(mail / "examples" / "tuesday.parquet")
    frame.assign(subject="?", text=frame.text.str.lower()).to_parquet(mail / "examples" / "tuesday.parquet")
    found = check(mail)
    where = f"{mail / 'examples' / 'monday.parquet'}: task 'spam': "
    assert found.status == 1
    assert len(found.problems) == 2
    assert found.problems[0].startswith(f"{where}LF 'asks' failed on example 0: AttributeError: ")
    assert found.problems[1].startswith(
        f"{where}LF 'shouts' votes 5 on example 3, expected an integer from -1"
    )
    assert "task spam: 2 LFs on 80 examples" in found.text


def test_faults_that_are_tolerated_are_a_warning(mail, check):
    (mail / "lfs.py").write_text(LFS + FAILING.replace("5", "1"))
    write_mail_spec(mail, fault_tolerant=True)
    found = check(mail)
    assert (found.status, found.problems) == (0, [])
    assert [line.split(": LF ")[-1][:22] for line in found.warnings[:2]] == ["'asks' failed on examp"] * 2
    assert found.warnings[0].endswith("(fault_tolerant is on: they are abstains)")
    assert "task spam: 4 LFs on 80 examples" in found.text


def test_a_file_of_labeling_functions_that_cannot_be_imported_does_not_hide_the_examples(mail, check):
    (mail / "lfs.py").write_text("import nowhere_at_all\n")
    file = mail / "examples" / "monday.parquet"
    replace(file, "spam", ["eggs"] * 40)
    found = check(mail)
    assert len(found.problems) == 2
    assert "tasks.spam.labeling_functions: " in found.problems[0]
    assert "lfs.py, line 1: cannot be imported: ModuleNotFoundError" in found.problems[0]
    assert found.problems[1].startswith(
        f"{file}: gold column 'spam' has labels that are no class: 'eggs' (40)"
    )
