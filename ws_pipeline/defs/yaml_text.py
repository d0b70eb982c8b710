"""YAML in which every key counts: one that is there twice is refused, where YAML readers keep the last."""

from collections.abc import Iterator
from typing import Any

import yaml

from ws_pipeline.errors import PipelineSpecError


def parse_yaml(text: str) -> Any:
    """The value that a YAML text describes, made of dicts, lists, texts and numbers.

    Raises
    ------
    PipelineSpecError
        The text is not YAML, or a key is repeated; the message has the line.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        for mapping in _mappings(root):
            _refuse_repeated_keys(mapping)
        return None if root is None else loader.construct_document(root)
    except yaml.YAMLError as broken:
        message = f"not valid YAML ({' '.join(str(broken).split())})"
        raise PipelineSpecError(message) from broken
    finally:
        loader.dispose()


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


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """All mappings at and below a node, each once; an alias may lead back to one that it is within."""
    waiting, seen = [node], set()
    while waiting:
        found = waiting.pop()
        if id(found) in seen or not isinstance(found, yaml.CollectionNode):
            continue
        seen.add(id(found))
        if isinstance(found, yaml.MappingNode):
            yield found
            waiting += [value for _, value in found.value]
        else:
            waiting += found.value
