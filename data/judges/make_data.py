"""Write the recorded verdicts of the example in docs/llm-judges.md: nine judges on 600 answers, made up.

Nobody asked a language model anything: the verdicts are drawn at random, and honest about it.  Judges of one
model share most of their errors, as prompts to one model do.  Verdicts are "right" or "wrong"; a judge that
gave none has no row.  Each says how sure it is, from 0 to 100, on a scale of its own.

    python data/judges/make_data.py

writes ``answers.csv`` (question, judge, verdict, confidence) and ``gold.csv`` (question, verdict) of 120
questions.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
N_QUESTIONS, N_GOLD, SEED = 600, 120, 11
P_RIGHT = 0.62  # share of answers that are right
#: Model -> how often it is mistaken, and its judges with how often each errs by itself.
MODELS = {
    "atlas": (0.24, {"atlas-short": 0.04, "atlas-steps": 0.03, "atlas-strict": 0.06, "atlas-old": 0.08}),
    "boreal": (0.16, {"boreal-short": 0.05, "boreal-steps": 0.04, "boreal-strict": 0.07}),
    "cedar": (0.12, {"cedar-steps": 0.05}),
    "dune": (0.14, {"dune-steps": 0.06}),
}
SILENT = 0.05  # share of questions on which a judge gives no verdict
LEAD = 6.0  # how much surer a judge is in the mean where it is right


def make_verdicts() -> tuple[list[tuple[str, str, str, int]], list[tuple[str, str]]]:
    """Rows of answers.csv and of gold.csv."""
    rng = np.random.default_rng(SEED)
    truth = rng.random(N_QUESTIONS) < P_RIGHT
    verdicts = {}
    for mistaken, judges in MODELS.values():
        of_model = truth ^ (rng.random(N_QUESTIONS) < mistaken)
        for judge, errs in judges.items():
            verdicts[judge] = of_model ^ (rng.random(N_QUESTIONS) < errs)
    said = _confidences({judge: of_judge == truth for judge, of_judge in verdicts.items()})
    silent = {judge: rng.random(N_QUESTIONS) < SILENT for judge in verdicts}
    names = {True: "right", False: "wrong"}
    questions = [f"q{number:03}" for number in range(N_QUESTIONS)]
    answers = [
        (question, judge, names[bool(of_judge[at])], int(said[judge][at]))
        for at, question in enumerate(questions)
        for judge, of_judge in verdicts.items()
        if not silent[judge][at]
    ]
    known = sorted(rng.choice(N_QUESTIONS, N_GOLD, replace=False).tolist())
    return answers, [(questions[at], names[bool(truth[at])]) for at in known]


def _confidences(is_right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """How sure each judge says that it is of each verdict ``[n]``; some judges are never below 60."""
    rng = np.random.default_rng([SEED, 1])
    found = {}
    for judge, right in is_right.items():
        level, spread = rng.uniform(60, 85), rng.uniform(6, 14)
        found[judge] = np.clip(np.round(rng.normal(level - LEAD * ~right, spread)), 0, 100)
    return found


def write_all(folder: Path) -> None:
    """Write both files into ``folder``."""
    answers, gold = make_verdicts()
    tables = {
        "answers.csv": [("question", "judge", "verdict", "confidence"), *answers],
        "gold.csv": [("question", "verdict"), *gold],
    }
    for name, rows in tables.items():
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    write_all(HERE)
