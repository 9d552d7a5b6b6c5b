"""Totals of items that never left: JSON objects that are added up. What they mean is `summaries/totals.py`'s; here they are only added.

Numbers add up, objects are added key by key, and `w` is [first start, last end] in RFC 3339: the earliest and the latest remain. `{}` is zero.
"""

from collections.abc import Callable
from typing import Any

import msgspec

# (newest content, newest content that was ever handed over or None) → what the first adds to the second; None: it cannot be read.
Totals = Callable[[bytes, bytes | None], dict[str, Any] | None]

SPAN = "w"


def add(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The sum of two totals."""
    found = dict(one)
    for key, value in other.items():
        mine = found.get(key)
        if mine is None:
            found[key] = value
        elif key == SPAN:
            found[key] = [min(mine[0], value[0]), max(mine[1], value[1])]
        elif isinstance(value, dict):
            found[key] = add(mine, value)
        else:
            found[key] = mine + value
    return found


def text(totals: dict[str, Any]) -> str:
    """As stored: keys in order, so that equal totals are equal texts."""
    return msgspec.json.encode(totals, order="sorted").decode()


def add_texts(one: str, other: str) -> str:
    return text(add(msgspec.json.decode(one), msgspec.json.decode(other)))
