"""Speed of labeling functions in the pipeline, beside a plain loop over the same functions.

    python benchmarks/labeling_functions.py             1,000,000 texts, 100 functions; some minutes
    python benchmarks/labeling_functions.py --quick     50,000 texts

Texts are ten random words; a function looks for one word (row by row: ``word in x.text``).  The plain loop
calls the functions on the rows of ``DataFrame.itertuples``, shared by the same number of processes.  Then one
of the 100 functions is changed, and only it runs again.  Votes are compared with those of the plain loop.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ws_pipeline.labeling import LabelingFunction, keyword_lf
from ws_pipeline.labeling.functions.apply_by_lf import apply_by_lf
from ws_pipeline.labeling.functions.function_votes import FunctionVotes, side_by_side
from ws_pipeline.labeling.functions.lf_fingerprint import lf_fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

N_WORDS, N_LFS = 2000, 100


def make_texts(n: int) -> pd.DataFrame:
    """``n`` texts of ten random words."""
    words = np.array([f"w{number}" for number in range(N_WORDS)], dtype=object)
    chosen = words[np.random.default_rng(0).integers(0, N_WORDS, (n, 10))]
    return pd.DataFrame({"example_id": np.arange(n), "text": [" ".join(row) for row in chosen]})


def looks_for(word: str) -> Callable[[Any], int]:
    """A function that votes for class 1 where the text has the word."""

    def look(x: Any) -> int:
        return 1 if word in x.text else -1

    return look


def plain_loop(functions: Sequence[Callable[[Any], int]], df: pd.DataFrame) -> np.ndarray:
    """Votes ``[n, m]`` of a loop over rows and functions."""
    return np.array(
        [[function(x) for function in functions] for x in df.itertuples(index=False)], dtype=np.int16
    )


def in_processes(functions: Sequence[Callable[[Any], int]], df: pd.DataFrame, n_processes: int) -> np.ndarray:
    """The plain loop in some processes, a share of the rows in each."""
    if n_processes == 1:
        return plain_loop(functions, df)
    bounds = np.linspace(0, len(df), n_processes + 1).astype(int)
    parts = [df.iloc[first:last] for first, last in itertools.pairwise(bounds)]
    return np.concatenate(Parallel(n_processes)(delayed(plain_loop)(functions, part) for part in parts))


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result of a call."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def fingerprints_of(lfs: Sequence[LabelingFunction]) -> dict[str, str]:
    """LF name to fingerprint."""
    return {lf.name: lf_fingerprint(lf) for lf in lfs}


def line(what: str, seconds: float, beside: float) -> None:
    """Print a row of the table."""
    print(f"{what:<54}{seconds:>9.2f}{seconds / beside:>9.2f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    df = make_texts(50_000 if parser.parse_args().quick else 1_000_000)
    words = [f"w{number} " for number in range(N_LFS)]
    functions = [looks_for(word) for word in words]
    lfs = [LabelingFunction(f"has_{word.strip()}", look) for word, look in zip(words, functions, strict=True)]
    print(f"{len(df):,} texts, {N_LFS} functions".ljust(54) + "seconds".rjust(9) + "ratio".rjust(9))
    for n_processes in (1, 2):
        plain, expected = timed(lambda p=n_processes: in_processes(functions, df, p))
        ours, applied = timed(lambda p=n_processes: apply_by_lf(lfs, df, n_processes=p))
        assert np.array_equal(np.column_stack(list(applied.votes.values())), expected)
        line(f"plain loop, {n_processes} process(es)", plain, plain)
        line(f"apply_by_lf, {n_processes} process(es)", ours, plain)
    keywords = [keyword_lf(lf.name, [word.strip()], 1) for lf, word in zip(lfs, words, strict=True)]
    seconds, _ = timed(lambda: apply_by_lf(keywords, df))
    line("keyword_lf (whole words), 1 process", seconds, plain)
    one_keyword, _ = timed(lambda: apply_by_lf(keywords[:1], df))
    line("one changed keyword_lf of 100", one_keyword, seconds)

    ids = df["example_id"].to_numpy()
    before = FunctionVotes(side_by_side(applied.votes, 2, ids), fingerprints_of(lfs))
    changed = [LabelingFunction(lfs[0].name, looks_for("w7 ")), *lfs[1:]]
    all_again, _ = timed(lambda: apply_by_lf(changed, df))
    kept_in, kept = timed(lambda: before.unchanged(fingerprints_of(changed), ids, ""))
    one_again, _ = timed(lambda: apply_by_lf([lf for lf in changed if lf.name not in kept], df))
    assert len(kept) == N_LFS - 1
    line("all functions, 1 process", all_again, all_again)
    line("one changed function of 100", one_again, all_again)
    one_plain, _ = timed(lambda: plain_loop([looks_for("w7 ")], df))
    line("plain loop over one function", one_plain, all_again)
    line("finding the others unchanged", kept_in, all_again)


if __name__ == "__main__":
    main()
