"""Every way in which TOML writes a key has a line."""

import json
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.lines import key_lines, line_of

TEXT = '''\
# first
top.dotted = 1
[a.b]
x = { y = 1, "z w" = [1, 2] }
list = [
    1,  # one

    { k = 2 },
]
text = """
x = 9
"""
[[c]]
d = 1
[[c]]
d = 2
[c.e]
f = 3
[[c.g]]
h = 4
[a]
'q' = 5
'''


def test_keys_have_the_line_on_which_they_stand():
    lines = key_lines(TEXT)
    expected = {
        ("top",): 2, ("top", "dotted"): 2, ("a",): 21, ("a", "b"): 3, ("a", "b", "x"): 4, ("a", "b", "x", "y"): 4, ("a", "b", "x", "z w"): 4,
        ("a", "b", "x", "z w", 1): 4, ("a", "b", "list"): 5, ("a", "b", "list", 0): 6, ("a", "b", "list", 1): 8,
        ("a", "b", "list", 1, "k"): 8, ("a", "b", "text"): 10, ("c", 0): 13, ("c", 0, "d"): 14, ("c", 1): 15, ("c", 1, "d"): 16,
        ("c", 1, "e", "f"): 18, ("c", 1, "g", 0, "h"): 20, ("a", "q"): 22,
    }  # fmt: skip
    assert {key: lines.get(key) for key in expected} == expected


def test_a_missing_key_has_the_line_of_its_table():
    lines = key_lines(TEXT)
    assert line_of(lines, ("a", "b", "none", "deeper")) == 3
    assert line_of(lines, ("none",)) == 1


def _paths(value, key=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*key, name)
        yield from _paths(item, (*key, name))


def test_no_key_of_the_text_is_without_a_line():
    assert set(_paths(tomllib.loads(TEXT))) <= set(key_lines(TEXT))


@settings(max_examples=40)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 9), min_size=1, max_size=6), st.integers(0, 5))
def test_quoted_keys_of_any_text(table, blank):
    lines = [
        f"{json.dumps(name, ensure_ascii=False)} = {value}".replace("\x7f", "\\u007f")
        for name, value in table.items()
        if name.isprintable()
    ]
    text = "\n" * blank + "\n".join(lines)
    found = key_lines(text)
    assert [found[(name,)] for name in tomllib.loads(text)] == [blank + 1 + index for index in range(len(lines))]
