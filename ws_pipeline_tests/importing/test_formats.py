"""Every format: a damaged export is refused by our errors, never by an accident within a reader."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import numpy as np
import pytest

from ws_pipeline.errors import SettingsError, WsPipelineError
from ws_pipeline.importing.formats import FORMATS, read_export
from ws_pipeline.importing.options import ImportOptions

TASK = {
    "id": 1,
    "data": {"text": "good"},
    "annotations": [
        {
            "id": 10,
            "completed_by": {"id": 8, "email": "e@x"},
            "result": [{"type": "choices", "from_name": "q", "value": {"choices": ["a"]}}],
            "ground_truth": False,
            "updated_at": "2026-01-01T10:00:00Z",
        },
        {
            "id": 11,
            "completed_by": 9,
            "result": [{"type": "choices", "from_name": "q", "value": {"choices": ["b"]}}],
        },
    ],
    "predictions": [
        {"model_version": "m", "result": [{"type": "choices", "from_name": "q", "value": {"choices": ["b"]}}]}
    ],
}
RECORD = {
    "id": "r",
    "fields": {"text": "x"},
    "metadata": {"n": 1},
    "suggestions": {"q": {"value": "a", "score": 0.5, "agent": "m"}},
    "responses": {"q": [{"value": "a", "user_id": "u"}, {"value": "b", "user_id": "v"}]},
    "vectors": {"v": [0.5, 1.0]},
}
CHOICE = {
    "text": "x",
    "options": [{"id": "a", "text": "A"}],
    "accept": ["a"],
    "answer": "accept",
    "_input_hash": 5,
    "_annotator_id": "u",
    "_timestamp": 3,
}
PHOENIX = {"span_id": "s", "name": "q", "annotator_kind": "LLM", "identifier": "m", "result": {"label": "a"}}
LANGFUSE = {
    "traceId": "t",
    "observationId": None,
    "name": "q",
    "source": "EVAL",
    "dataType": "CATEGORICAL",
    "stringValue": "a",
    "timestamp": "2026-01-01 10:00:00",
}
WRENCH = {"0": {"label": 0, "weak_labels": [0, 1, -1], "data": {"text": "x", "feature": [0.5, 1]}}}
ROW = {"task": "t", "worker": "w", "label": "a", "annotator": "w"}
#: Format -> an export, and the file of it.
VALID = {
    "label-studio": [TASK],
    "json-min": [
        {"id": 1, "text": "x", "q": "a", "annotator": 7, "updated_at": "2026-01-01T10:00:00Z"},
        {"id": 1, "text": "x", "q": {"choices": ["b"]}, "annotator": "e@x"},
    ],
    "argilla": [RECORD],
    "prodigy": [CHOICE, CHOICE | {"accept": ["b"], "_annotator_id": "v"}],
    "doccano": [{"id": 1, "text": "x", "label": ["a"]}, {"id": 2, "text": "y", "label": ["b"]}],
    "phoenix": [PHOENIX, PHOENIX | {"identifier": "n", "result": {"label": "b"}}],
    "langfuse": [LANGFUSE, LANGFUSE | {"traceId": "u", "stringValue": "b"}],
    "long": [{"task": "t", "worker": "w", "label": "a"}, {"task": "t", "worker": "v", "label": "b"}],
    "crowd-kit": [ROW, ROW | {"label": "b", "worker": "v"}],
    "cleanlab": [ROW, ROW | {"label": "b", "annotator": "v"}],
    "wrench": {"train": WRENCH, "valid": WRENCH, "test": WRENCH, "label": {"0": "a", "1": "b"}},
}
FORMAT_OF = {"json-min": "label-studio"}
ODD = [None, "", "x", 0, -1, 2.5, float("nan"), True, [], ["x", "y"], [[]], [None], {}, {"x": 1}]


def write(place, name, content):
    if name != "wrench":
        (place / "export.json").write_text(json.dumps(content))
        return place / "export.json"
    for part, values in content.items():
        (place / f"{part}.json").write_text(json.dumps(values))
    return place


def paths(value, path=()):
    """Places of all values within a value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from paths(item, (*path, key))


def changed(content, path, rng):
    """The content with another value at a place, or without it."""
    content = copy.deepcopy(content)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    choice = int(rng.integers(len(ODD) + 1))
    if choice == len(ODD):
        del parent[path[-1]]
    else:
        parent[path[-1]] = ODD[choice]
    return content


def options_of(name):
    questions = ("q",) if name == "json-min" else ()
    return ImportOptions(source="s" if name == "doccano" else None, questions=questions)


def test_there_is_an_export_of_every_format():
    assert {FORMAT_OF.get(name, name) for name in VALID} == set(FORMATS)


@pytest.mark.parametrize("name", VALID)
def test_the_valid_export_is_read(name, tmp_path):
    export = read_export(FORMAT_OF.get(name, name), write(tmp_path, name, VALID[name]), options_of(name))
    assert export.classes == ("a", "b")
    assert sum(export.report.sources.values()) == export.votes.num_rows >= 2


@pytest.mark.parametrize("name", VALID)
def test_a_damaged_export_is_refused_or_read_but_never_an_accident(name, tmp_path):
    rng = np.random.default_rng(0)
    places = [path for path in paths(VALID[name]) if path]
    n_refused = 0
    for path in places * 12:
        file = write(tmp_path, name, changed(VALID[name], path, rng))
        with suppress(WsPipelineError):
            read_export(FORMAT_OF.get(name, name), file, options_of(name))
            continue
        n_refused += 1
    assert n_refused > 3


def test_an_option_that_the_format_does_not_use_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"--level, --question: the format 'long' does not use it"):
        read_export("long", tmp_path, ImportOptions(questions=("q",), level="trace"))
