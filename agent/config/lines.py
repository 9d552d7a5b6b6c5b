"""Which line of a TOML text sets which key. Imported only when there is a problem to report: a good config never pays for the parser."""

import tomllib
from typing import Any

import tree_sitter
import tree_sitter_toml

Key = tuple[str | int, ...]

_KEYS = {"bare_key", "quoted_key", "dotted_key"}


def key_lines(text: str) -> dict[Key, int]:
    """Line (from 1) of every key, table and item of a list; keys as tuples: ("lane", "yard", "zone", "dock", "polygon", 0)."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    lines: dict[Key, int] = {}
    counts: dict[Key, int] = {}  # arrays of tables: how many so far
    for node in parser.parse(text.encode()).root_node.named_children:
        if node.type == "pair":
            _pair(node, (), lines)
        elif node.type in ("table", "table_array_element"):
            _table(node, lines, counts)
    return lines


def line_of(lines: dict[Key, int], key: Key) -> int:
    """The line of the key, or of the nearest table above it that is there; 1 when none is."""
    return next((lines[key[:end]] for end in range(len(key), 0, -1) if key[:end] in lines), 1)


def _table(node: Any, lines: dict[Key, int], counts: dict[Key, int]) -> None:
    header = next(child for child in node.named_children if child.type in _KEYS)
    key: Key = ()
    names = names_of(header)
    for place, name in enumerate(names):
        key = (*key, name)
        last = place == len(names) - 1
        lines.setdefault(key, _line(header))
        if last and node.type == "table_array_element":
            counts[key] = counts.get(key, 0) + 1
        if key in counts:
            key = (*key, counts[key] - 1)
    lines[key] = _line(header)
    for child in node.named_children:
        if child.type == "pair":
            _pair(child, key, lines)


def _pair(node: Any, table: Key, lines: dict[Key, int]) -> None:
    name, value = (child for child in node.named_children if child.type != "comment")
    key = table
    for part in names_of(name):
        key = (*key, part)
        lines.setdefault(key, _line(name))
    lines[key] = _line(name)
    _value(value, key, lines)


def _value(node: Any, key: Key, lines: dict[Key, int]) -> None:
    if node.type == "inline_table":
        for child in node.named_children:
            if child.type == "pair":
                _pair(child, key, lines)
    elif node.type == "array":
        items = [child for child in node.named_children if child.type != "comment"]
        for index, item in enumerate(items):
            lines[(*key, index)] = _line(item)
            _value(item, (*key, index), lines)


def names_of(node: Any) -> list[str]:
    """The parts of a key, bare, quoted or dotted."""
    if node.type == "dotted_key":
        return [name for child in node.named_children for name in names_of(child)]
    text = node.text.decode()
    return [next(iter(tomllib.loads(f"{text} = 0")))] if node.type == "quoted_key" else [text]


def _line(node: Any) -> int:
    return int(node.start_point[0]) + 1
