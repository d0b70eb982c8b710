"""How the names of files of tables end, and what the endings mean."""

from __future__ import annotations

GZIP = ".gz"
PARQUET = ".parquet"
DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
_TEXTS = (*DELIMITERS, *JSON_LINES)

#: Every ending of a table that is a shard; those of text also packed with gzip.
ENDINGS = (PARQUET, *_TEXTS, *(f"{ending}{GZIP}" for ending in _TEXTS))
#: What stands for an ending where a shard is rows of a database, and no file.
ROWS = " (rows of the query)"
ENDINGS_TEXT = f"{', '.join((PARQUET, *_TEXTS[:-1]))} or {_TEXTS[-1]} (of text also with {GZIP})"


def ending_of(name: str) -> str | None:
    """How the name of a file of a table ends; None if it is none."""
    return next((ending for ending in (*ENDINGS, ROWS) if name.endswith(ending)), None)


def format_of(ending: str) -> str:
    """The ending without that of a packed file."""
    return ending.removesuffix(GZIP)
