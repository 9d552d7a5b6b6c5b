"""Writes one zone, line or mask into a config file, or takes it out. Every byte that does not say where it is stays as it was: comments, order, blanks.

The new text is read as the agent would read it before it takes the old one's place, at once and whole; the old one stays beside it as `.bak`.
Imported only by `look`: a TOML parser comes with it.
"""

import hashlib
import os
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tree_sitter
import tree_sitter_toml

from agent.config.lines import names_of
from agent.config.read import Loaded, examine, files
from agent.problems import Exit, Problem, Problems

Kind = Literal["zone", "line", "mask"]
Points = Sequence[tuple[float, float]]
Key = tuple[str | int, ...]
_DIGITS = 4


class Shape(NamedTuple):
    """points: of a polygon; of a line, where it begins and where it ends. Shares of the picture."""

    lane: str
    kind: Kind
    name: str
    points: Points

    @property
    def key(self) -> Key:
        return ("lane", self.lane, self.kind, self.name)

    def values(self) -> dict[str, str]:
        """Its keys and their values as TOML."""
        if self.kind == "line":
            return {"from": _point(self.points[0]), "to": _point(self.points[-1])}
        return {"polygon": f"[{', '.join(map(_point, self.points))}]"}


def state(config: Path) -> str:
    """A digest of the file and its overlays as they lie there: who saves says which he has seen."""
    digest = hashlib.sha256()
    for label, path in files(config):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{label}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def save(config: Path, shape: Shape, *, seen: str, remove: bool = False) -> Path:
    """Writes it into the file that holds the lane, or takes it out of that which holds it, and returns the file. seen: `state` when the page was made.

    Problem: the files are not those that were seen, or cannot be written. Problems: the config would have mistakes.
    """
    if seen != state(config):
        raise _problem(config, "the file was changed meanwhile", "Load the page again, then draw once more")
    loaded, problems = examine(config, on_this_machine=False)
    if loaded is None:
        raise Problems(problems)
    if shape.lane not in loaded.file.lane:
        raise _problem(config, f"there is no lane {shape.lane!r}", "Load the page again")
    there = shape.name in getattr(loaded.file.lane[shape.lane], shape.kind, {})
    if remove and not there:
        raise _problem(config, f"the lane {shape.lane} has no {shape.kind} {shape.name!r}", "Load the page again")
    path = loaded.origins.path((*shape.key, next(iter(shape.values()))) if there else ("lane", shape.lane))
    old = path.read_bytes()
    new = without(old, shape) if remove else edited(old, shape)
    after, problems = examine(config, on_this_machine=False, instead={path: new})
    if after is None:
        raise Problems(problems)
    if after.effective != _wanted(loaded, shape, remove=remove):
        text = f"[{'.'.join(map(str, shape.key))}]"
        if not remove:
            text += " " + " ".join(f"{key} = {value}" for key, value in shape.values().items())
        how = "Take it out by hand" if remove else "Write it by hand"
        raise _problem(path, "the file says it in a form that cannot be changed from here", f"{how}: {text}")
    _replace(path, old, new)
    return path


def edited(content: bytes, shape: Shape) -> bytes:
    """The file with the shape in it; perhaps no TOML, where the lane is written in another form than tables."""
    tables, values = _places(content)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    changes: list[tuple[int, int, bytes]] = []
    missing = []
    for name, text in shape.values().items():
        pair = values.get((*shape.key, name))
        if pair is None:
            missing.append(f"{name} = {text}".encode())
            continue
        value = [child for child in pair.named_children if child.type != "comment"][1]
        changes.append((value.start_byte, value.end_byte, text.encode()))
        indent = content[content.rfind(b"\n", 0, pair.start_byte) + 1 : pair.start_byte]
        kept = [comment.text for comment in _comments(value) if comment.text is not None]
        if kept and not indent.strip():
            changes.append((pair.start_byte, pair.start_byte, b"".join(one + newline + indent for one in kept)))
    if missing:
        header = tables.get(shape.key)
        if header is None:
            missing.insert(0, f"[{'.'.join(map(str, shape.key))}]".encode())
            of_lane = [node for key, node in tables.items() if key[:2] == shape.key[:2]]
            end = max(map(_last_byte, of_lane), default=len(content))
        else:
            end = _header(header).end_byte
        at = _line_end(content, end)
        begins = b"" if at == 0 or content[at - 1 : at] == b"\n" else newline
        changes.append((at, at, begins + b"".join(line + newline for line in missing)))
    for start, end, new in sorted(changes, reverse=True):
        content = content[:start] + new + content[end:]
    return content


def without(content: bytes, shape: Shape) -> bytes:
    """The file without the shape's lines; as it was, where they are part of others."""
    tables, values = _places(content)
    table = tables.get(shape.key)
    spans = [(_header(table).start_byte, _last_byte(table))] if table is not None else []
    if table is None:
        spans = [(pair.start_byte, pair.end_byte) for key, pair in values.items() if key[:4] == shape.key]
    for start, end in sorted(spans, reverse=True):
        line = content.rfind(b"\n", 0, start) + 1
        if content[line:start].strip(b" \t["):
            return content  # something else begins this line
        content = content[:line] + content[_line_end(content, end) :]
    return content


def _places(content: bytes) -> tuple[dict[Key, Any], dict[Key, Any]]:
    """Tables with a header of their own, and pairs, by key."""
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))
    tables: dict[Key, Any] = {}
    pairs: dict[Key, Any] = {}
    for node in parser.parse(content).root_node.named_children:
        if node.type == "pair":
            _pair(node, (), pairs)
        elif node.type == "table":
            key = tuple(names_of(_header(node)))
            tables[key] = node
            for child in node.named_children:
                if child.type == "pair":
                    _pair(child, key, pairs)
    return tables, pairs


def _pair(node: Any, table: Key, pairs: dict[Key, Any]) -> None:
    name, value = (child for child in node.named_children if child.type != "comment")
    key = (*table, *names_of(name))
    pairs[key] = node
    if value.type == "inline_table":
        for child in value.named_children:
            if child.type == "pair":
                _pair(child, key, pairs)


def _header(table: Any) -> Any:
    return next(child for child in table.named_children if child.type in ("bare_key", "quoted_key", "dotted_key"))


def _last_byte(table: Any) -> int:
    """Where what it says ends; comments behind that belong to what follows."""
    last: int = max((child.end_byte for child in table.named_children if child.type == "pair"), default=0)
    return max(last, int(_header(table).end_byte))


def _line_end(content: bytes, at: int) -> int:
    """The beginning of the next line."""
    end = content.find(b"\n", at)
    return len(content) if end < 0 else end + 1


def _comments(node: Any) -> list[Any]:
    found = [node] if node.type == "comment" else []
    for child in node.named_children:
        found += _comments(child)
    return found


def _point(point: tuple[float, float]) -> str:
    return f"[{', '.join(repr(round(float(share), _DIGITS)) for share in point)}]"


def _wanted(loaded: Loaded, shape: Shape, *, remove: bool) -> dict[str, Any]:
    """The config as it is, with the shape, or without it."""
    wanted: dict[str, Any] = dict(loaded.effective)
    table = wanted
    for part in map(str, shape.key[:3]):
        table[part] = dict(table.get(part, {}))
        before, table = table, table[part]
    if not remove:
        values = {name: tomllib.loads(f"value = {text}")["value"] for name, text in shape.values().items()}
        table[shape.name] = {**table.get(shape.name, {}), **values}
        return wanted
    del table[shape.name]
    if not table:
        del before[shape.kind]
    return wanted


def _replace(path: Path, old: bytes, new: bytes) -> None:
    """The file behind a link is replaced, not the link. What was there stays as `.bak`."""
    place = path.resolve()
    try:
        facts = place.stat()
        _write(place.with_name(f"{place.name}.bak"), old, facts)
        if place.read_bytes() != old:
            raise _problem(path, "the file was changed meanwhile", "Load the page again, then draw once more")
        _write(place, new, facts)
    except OSError as error:
        raise _problem(
            path,
            f"cannot be written: {error.strerror or error}",
            "Start `look` as a user who may write it and its folder",
        ) from None


def _write(place: Path, content: bytes, facts: os.stat_result) -> None:
    """Whole or not at all, with the rights of the file that it follows."""
    part = place.with_name(f".{place.name}.new")
    try:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, facts.st_mode & 0o777)
        try:
            os.fchmod(file, facts.st_mode & 0o777)
            with suppress(PermissionError):
                os.fchown(file, facts.st_uid, facts.st_gid)
            view = memoryview(content)
            while view:
                view = view[os.write(file, view) :]
            os.fsync(file)
        finally:
            os.close(file)
        part.replace(place)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _problem(path: Path, what: str, remedy: str) -> Problem:
    return Problem(where=str(path), what=what, remedy=remedy, code=Exit.CONFIG)
