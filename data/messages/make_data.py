"""Write the examples of the messages demo: short texts to a shop, made up by the grammar below.

The texts are synthetic, and honest about it: nobody wrote them.  Every message is about one of three things
(billing, delivery, or something technical), opens and ends as messages do and is misspelt now and then; one
in ten also mentions a word of another class, so that few keywords are always right.

    python data/messages/make_data.py

writes ``examples/part-0.parquet`` to ``part-2.parquet``; the same seed gives the same rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
CLASSES = ("billing", "delivery", "technical")
SHARES = (0.35, 0.4, 0.25)
N_MESSAGES, N_SHARDS, SEED = 3000, 3, 7
SPLITS = {"train": 0.7, "valid": 0.1, "test": 0.2}
MISSPELT, MIXED = 0.04, 0.1  # chance of a word of five letters to be misspelt; of a message to be mixed

OPENINGS = ["Hi,", "Hello,", "Dear team,", "Good morning,", "", "", "Hi there,", "Sorry to bother you,"]
ENDINGS = ["Thanks!", "Thank you.", "Please help.", "", "", "Best regards", "Can you look into it?", "Cheers"]
SENTENCES = {
    "billing": [
        "I was charged {twice} for {order}.",
        "my {card} shows {amount} that I do not know",
        "the invoice for {order} is {wrong}",
        "when will I get my money back for {order}?",
        "please send me a receipt for {order}",
        "the discount code was not taken off {order}",
        "you took {amount} from my account {when}",
        "I want a refund for {order}",
        "how do I change my {card}?",
        "the price was higher than on the page",
    ],
    "delivery": [
        "{order} has not arrived {when}",
        "where is {order}?",
        "the parcel was {damaged} when it came",
        "the driver left {order} with a neighbour I do not know",
        "tracking says it is still in the depot",
        "can you send {order} to another address?",
        "I have been waiting for {order} since {day}",
        "half of {order} is missing from the box",
        "the courier never rang the bell {when}",
        "it was supposed to come on {day}",
    ],
    "technical": [
        "the {app} {crashes} when I open {page}",
        "I cannot log in {when}",
        "{page} shows an error {when}",
        "the password reset mail does not come",
        "the {app} is very slow {when}",
        "the button on {page} does nothing",
        "after the update the {app} {crashes}",
        "my basket is empty after I sign in",
        "search on {page} finds nothing",
        "the {app} keeps asking for my password",
    ],
}
FILLERS = {
    "twice": ["twice", "two times", "again"],
    "order": [
        "my order",
        "order {number}",
        "the shoes",
        "the lamp",
        "a jacket",
        "the two books",
        "my things",
    ],
    "card": ["credit card", "card", "bank statement", "payment method"],
    "amount": ["{number} euros", "a payment", "an amount"],
    "wrong": ["wrong", "missing", "not what I paid", "for somebody else"],
    "damaged": ["damaged", "open", "wet", "broken"],
    "when": ["yesterday", "today", "since {day}", "this week", ""],
    "day": ["Monday", "Tuesday", "Friday", "last week", "the weekend"],
    "app": ["app", "site", "page", "shop"],
    "crashes": ["crashes", "freezes", "closes", "goes white"],
    "page": ["my account", "the checkout", "the wish list", "the start page"],
}
FOREIGN = {
    "billing": ["the parcel was fine", "the app works by the way", "delivery was quick"],
    "delivery": ["I paid by card", "the app says so too", "the invoice is here already"],
    "technical": ["and I want to pay", "I only wanted to track my parcel", "my order is ready otherwise"],
}


def make_message(label: str, rng: np.random.Generator) -> str:
    """One message about ``label``."""
    sentences = list(rng.choice(SENTENCES[label], size=rng.integers(1, 3), replace=False))
    if rng.random() < MIXED:
        sentences.append(rng.choice(FOREIGN[label]))
    parts = [rng.choice(OPENINGS), *(_fill(sentence, rng) for sentence in sentences), rng.choice(ENDINGS)]
    return " ".join(_misspell(word, rng) for word in " ".join(parts).split())


def _fill(sentence: str, rng: np.random.Generator) -> str:
    """Replace each name in braces, again and again, by one of its fillers."""
    while "{" in sentence:
        before, rest = sentence.split("{", 1)
        name, after = rest.split("}", 1)
        filler = str(rng.integers(10, 9999)) if name == "number" else rng.choice(FILLERS[name])
        sentence = f"{before}{filler}{after}"
    return sentence


def _misspell(word: str, rng: np.random.Generator) -> str:
    """Swap two letters within a long word, now and then."""
    if len(word) < 5 or rng.random() >= MISSPELT * len(word) / 5:
        return word
    at = int(rng.integers(1, len(word) - 2))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def make_examples() -> pa.Table:
    """All messages: ids, splits, texts, and gold labels of the valid and test splits only."""
    rng = np.random.default_rng(SEED)
    labels = rng.choice(CLASSES, size=N_MESSAGES, p=SHARES)
    splits = rng.choice(list(SPLITS), size=N_MESSAGES, p=list(SPLITS.values()))
    texts = [make_message(label, rng) for label in labels]
    gold = [None if split == "train" else str(label) for split, label in zip(splits, labels, strict=True)]
    ids = [f"message-{place:04}" for place in range(N_MESSAGES)]
    return pa.table(
        {"example_id": ids, "split": splits.tolist(), "text": texts, "topic": pa.array(gold, pa.string())}
    )


def write_all(folder: Path) -> None:
    """Write the shards below ``folder``."""
    table, size = make_examples(), N_MESSAGES // N_SHARDS
    (folder / "examples").mkdir(parents=True, exist_ok=True)
    for shard in range(N_SHARDS):
        rows = table.slice(shard * size, size)
        pq.write_table(rows, folder / "examples" / f"part-{shard}.parquet", compression="zstd")


if __name__ == "__main__":
    write_all(HERE)
