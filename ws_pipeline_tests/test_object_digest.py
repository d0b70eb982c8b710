"""Digests of objects: what changes them, and what does not."""

import math
import re
import types

import pytest

from ws_pipeline.object_digest import ObjectDigest, globals_read

LIMIT = 3
PATTERN = re.compile("spam")


def helper(x):
    return x > LIMIT


def reads_a_global(x):
    return helper(x) and math.isfinite(x)


class Reads:
    def method(self, x):
        return x + LIMIT


def compiled(source, variables):
    """A function without a source text, made in a module of its own."""
    module = types.ModuleType("own")
    module.__dict__.update(variables)
    exec(source, module.__dict__)  # noqa: S102  a text of this file
    return module.f


def digest(*values, follow_globals=True):
    return ObjectDigest({}, follow_globals=follow_globals)(*values)


def test_global_variables_are_those_that_the_code_names():
    assert dict(globals_read(reads_a_global)) == {"helper": helper, "math": math}
    assert dict(globals_read(helper)) == {"LIMIT": 3}
    assert dict(globals_read(Reads)) == {"LIMIT": 3}
    assert globals_read(len) == []


def test_of_packages_by_name_only_the_name_counts(monkeypatch):
    by_name = ObjectDigest({}, follow_globals=True, by_name=(helper.__module__.partition(".")[0],))
    before = by_name(helper, Reads)
    monkeypatch.setitem(globals(), "LIMIT", 4)
    assert by_name(helper, Reads) == before
    assert by_name(helper) != by_name(reads_a_global)


@pytest.mark.parametrize("function", [reads_a_global, Reads], ids=["function", "class"])
def test_a_changed_global_changes_what_reads_it(monkeypatch, function):
    before, blind = digest(function), digest(function, follow_globals=False)
    monkeypatch.setitem(globals(), "LIMIT", 4)
    assert digest(function) != before
    assert digest(function, follow_globals=False) == blind
    monkeypatch.setitem(globals(), "LIMIT", 3)
    assert digest(function) == before


def test_functions_of_own_modules_that_are_read_count():
    source = "def f(x): return tools.clean(x)"
    tools = [types.ModuleType("tools") for _ in range(2)]
    tools[0].clean = compiled("def f(x): return x.strip()", {})
    tools[1].clean = compiled("def f(x): return x.lower()", {})
    first, second = (digest(compiled(source, {"tools": module})) for module in tools)
    assert first != second


def test_a_function_that_calls_itself_has_a_digest():
    source = "def f(x): return f(x - 1) if x else OTHER"
    assert digest(compiled(source, {"OTHER": 1})) == digest(compiled(source, {"OTHER": 1}))
    assert digest(compiled(source, {"OTHER": 1})) != digest(compiled(source, {"OTHER": 2}))


def test_patterns_count_by_text_and_flags():
    assert digest(PATTERN) == digest(re.compile("spam"))
    assert digest(PATTERN) != digest(re.compile("ham"))
    assert digest(PATTERN) != digest(re.compile("spam", re.IGNORECASE))
