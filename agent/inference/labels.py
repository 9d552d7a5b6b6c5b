"""Label texts by class number, from a file as people have them.

    cat                       one a line
    0 cat | 0: cat | 0,cat    numbered lines, also with a heading `id,name`; the number is the class
    {"0": "cat"} | ["cat"]    JSON or Python; also under a key `names` (Ultralytics' data.yaml as JSON) or as {"cat": 0}
    names: … 0: cat           the `names` of an Ultralytics data.yaml or metadata.yaml
    item { id: 1 name: 'x' }  a label map of TensorFlow's Object Detection API: ids begin at 1, the model's classes at 0

A class between the numbers has its number as label. Nothing is guessed about a background class: the decoder compares the counts.
"""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.problems import Exit, Problem

_MOST_BYTES = 4 << 20
_MOST_CLASSES = 100_000
_NUMBERED = re.compile(r"\s*(\d{1,6})[\s:,;]+(.+?)\s*")
_HEADING = re.compile(
    r"\s*\"?(?:id|index|class|number|class[_ ]?id|label[_ ]?id)\"?\s*[,;\t]\s*\"?[\w ]+\"?\s*", re.IGNORECASE
)
_ITEM = re.compile(r"\bitem\s*:?\s*\{([^{}]*)\}")
_FIELD = re.compile(r"\b(id|name|display_name)\s*:\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|(\d+))")
# Behind the labels, after a blank line: a sentence about them, as in the publisher's labels of Pascal VOC.
_REMARK = re.compile(r"(?<=\S)\s*\n[ \t]*\r?\n(?:[^\n]+\n){0,8}[^\n]* [^\n]*\.\Z")
_NAMES = re.compile(r"^names\s*:[ \t]*(.*)$", re.MULTILINE)


def load_labels(path: Path, *, where: str) -> tuple[str, ...]:
    """Problem (Exit.MODEL): unreadable, no UTF-8 text, empty, more than 4 MB, a .json that is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _problem(where, f"the labels file {path} has more than {_MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _problem(
            where, f"the labels file {path} is no UTF-8 text: {error.reason} at byte {error.start}"
        ) from None
    except OSError as error:
        raise _problem(where, f"the labels file {path} cannot be read: {error.strerror}") from None
    if "\0" in text:
        raise _problem(where, f"the labels file {path} is no text: it holds zero bytes")
    if path.suffix == ".json" and _from_structure(_structure(text)) is None:
        raise _problem(where, f"the labels file {path} is no JSON list of texts and no object of number: text")
    labels = parse_labels(text)
    if not labels:
        raise _problem(where, f"the labels file {path} is empty")
    return labels


def _problem(where: str, what: str) -> Problem:
    return Problem(where=where, what=what, remedy="Give a UTF-8 text file with one label a line", code=Exit.MODEL)


def parse_labels(text: str) -> tuple[str, ...]:
    """Never raises; () when there is none. Blank lines at the end are not labels."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return ()
    found = _from_structure(_structure(text)) or _label_map(text) or _yaml(text)
    if found is not None:
        return found
    lines = _REMARK.sub("", text.rstrip()).splitlines()
    return _numbered_lines(lines) or tuple(line.strip() for line in lines)


def from_names(names: object) -> tuple[str, ...] | None:
    """A list of texts, {0: text}, {"0": text} or {text: 0}; None when it is none of these."""
    if isinstance(names, list | tuple):
        return tuple(str(name) for name in names) if names and all(_is_text(name) for name in names) else None
    if not isinstance(names, Mapping) or not names:
        return None
    try:
        return _by_number({int(key): str(name) for key, name in names.items() if _is_text(name)}, len(names))
    except (ValueError, TypeError):
        pass
    if all(type(number) is int for number in names.values()):
        return _by_number({number: str(key) for key, number in names.items()}, len(names))
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _by_number(labels: Mapping[int, str], count: int) -> tuple[str, ...] | None:
    """None: two have one number, or the numbers are no classes."""
    if len(labels) != count or min(labels) < 0 or max(labels) > _MOST_CLASSES:
        return None
    return tuple(labels.get(number, str(number)) for number in range(max(labels) + 1))


def _structure(text: str) -> Any:
    """JSON, or a literal of Python; None when the text is neither."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    return literal(text)


def literal(text: str) -> Any:
    """JSON, or a literal of Python; None when the text is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None


def _from_structure(value: object) -> tuple[str, ...] | None:
    if isinstance(value, Mapping):
        for key in ("names", "labels", "classes"):
            if isinstance(value.get(key), list | Mapping):
                return from_names(value[key])
    return from_names(value)


def _label_map(text: str) -> tuple[str, ...] | None:
    """The readable name before the other: `name` is a Freebase id in many. Ids begin at 1 (0 is the background, which has no item)."""
    found = {}
    for item in _ITEM.findall(text):
        fields = {key: double or single or number for key, double, single, number in _FIELD.findall(item)}
        if not fields.get("id", "").isascii() or not fields.get("id", "").isdigit():
            return None
        found[int(fields["id"][:9])] = fields.get("display_name") or fields.get("name") or fields["id"]
    if not found:
        return None
    first = 0 if 0 in found else 1
    return _by_number({number - first: name for number, name in found.items()}, len(found))


def _yaml(text: str) -> tuple[str, ...] | None:
    """The `names` of a data.yaml: a list in one line, items of `- name`, or of `0: name`."""
    match = _NAMES.search(text)
    if match is None:
        return None
    if match[1].strip().startswith(("[", "{")):
        whole = text[match.start(1) :]
        return from_names(literal(whole[: whole.find("]" if whole.lstrip()[0] == "[" else "}") + 1]))
    items = []
    for line in text[match.end() :].splitlines():
        if line.strip() and not re.match(r"\s*- |\s+\S", line):
            break
        items.append(line.strip())
    items = [item for item in items if item and not item.startswith("#")]
    if items and all(item.startswith("- ") for item in items):
        return tuple(_unquoted(item[2:]) for item in items)
    return _numbered_lines(items)


def _numbered_lines(lines: list[str]) -> tuple[str, ...] | None:
    """None unless every line (blank ones and a heading aside) has a number of its own, from 0 or 1 on and mostly without gaps: "10 km/h",
    "20 km/h" are names.
    """
    filled = [line for line in lines if line.strip()]
    if filled and _HEADING.fullmatch(filled[0]):
        filled = filled[1:]
    matches = [_NUMBERED.fullmatch(line) for line in filled]
    if not matches or any(match is None for match in matches):
        return None
    labels = {int(match[1]): _unquoted(match[2]) for match in matches if match is not None}
    if min(labels) > 1 or max(labels) > 2 * len(labels) + 10:
        return None
    return _by_number(labels, len(filled))


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
