"""YAML without surprises: what YAML readers change silently is refused, or can be told.

A key that is there twice is refused, where YAML readers keep the last.  So are keys that are no text, and
values that are not what they look like: 010 is the number 8 to YAML, 1:30 is 90.  Words such as no, on and ~
are no text to YAML either; :func:`words_for_values` says where they are.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ws_pipeline.errors import PipelineSpecError

YamlPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_NAMES = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}
_MISLEADING = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")  # base 8, base 60


def parse_yaml(text: str) -> Any:
    """The value that a YAML text describes, made of dicts, lists, texts and numbers.

    Raises
    ------
    PipelineSpecError
        The text is not YAML, a key is repeated or no text, or a value is a date or a number that is
        written in base 8 or 60; the message has the line.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        for node in _nodes(root):
            _refuse_surprises(node)
        return None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError) as broken:
        if isinstance(broken, PipelineSpecError):
            raise
        message = f"not valid YAML ({' '.join(str(broken).split())})"
        raise PipelineSpecError(message) from broken
    finally:
        loader.dispose()


def words_for_values(text: str) -> dict[YamlPath, str]:
    """Say how the booleans, numbers and nulls of a YAML text are written there, by the path to each.

    Returns
    -------
    dict
        Keys and positions from the root to the value -> such as "YAML reads no as a boolean (line 3)".
    """
    loader = yaml.SafeLoader(text)
    try:
        return dict(_words_of(loader.get_single_node(), (), within=()))
    finally:
        loader.dispose()


def _words_of(
    node: yaml.Node | None, path: YamlPath, within: tuple[yaml.Node, ...]
) -> Iterator[tuple[YamlPath, str]]:
    """Walk down from a node, but not into one that it is ``within``, to which an alias may lead back."""
    if node is None or node in within:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = path if key.tag == f"{_TAG}merge" else (*path, key.value)
            yield from _words_of(value, below, (*within, node))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _words_of(value, (*path, position), (*within, node))
    elif isinstance(node, yaml.ScalarNode) and _kind_of(node) is not None:
        yield path, f"YAML reads {_written(node)} as {_kind_of(node)} (line {node.start_mark.line + 1})"


def _kind_of(node: yaml.ScalarNode) -> str | None:
    """Name the type that YAML gives a scalar; None: text."""
    return _NAMES.get(node.tag.removeprefix(_TAG))


def _written(node: yaml.ScalarNode) -> str:
    return node.value or "an empty value"


def _refuse_surprises(node: yaml.Node) -> None:
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated_keys(node)
        for key, _ in node.value:
            _refuse_key(key)
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        _refuse_misleading(node)


def _refuse_key(key: yaml.Node) -> None:
    kind = _kind_of(key) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
    if kind is not None:
        shown = _written(key) if isinstance(key, yaml.ScalarNode) else "it"
        message = (
            f"line {key.start_mark.line + 1}: YAML reads the key {shown} as {kind}; put it in quotes: "
            f'"{key.value}"'
        )
        raise PipelineSpecError(message)


def _refuse_misleading(node: yaml.ScalarNode) -> None:
    """Refuse a value that YAML reads as another number than it looks like, or as a date."""
    line, tag = node.start_mark.line + 1, node.tag.removeprefix(_TAG)
    if tag == "timestamp":
        message = f'line {line}: YAML reads {node.value} as a date; put it in quotes: "{node.value}"'
        raise PipelineSpecError(message)
    if tag in {"int", "float"} and _MISLEADING.fullmatch(node.value):
        value = yaml.safe_load(node.value)
        message = (
            f"line {line}: YAML reads {node.value} as the number {value}; write {value}, or if it is a text, "
            f'put it in quotes: "{node.value}"'
        )
        raise PipelineSpecError(message)


def _refuse_repeated_keys(mapping: yaml.MappingNode) -> None:
    lines: dict[tuple[str, Any], int] = {}
    for key, _ in mapping.value:
        line = key.start_mark.line + 1
        known = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else (key.tag, id(key))
        if known in lines:
            message = (
                f"line {line}: the key '{key.value}' is in line {lines[known]} already; keep one of them"
            )
            raise PipelineSpecError(message)
        lines[known] = line


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """All nodes at and below a root, each once; an alias may lead back to one that it is within."""
    waiting, seen = [root], set()
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, yaml.MappingNode):
            waiting += [value for _, value in found.value]
        elif isinstance(found, yaml.SequenceNode):
            waiting += found.value
