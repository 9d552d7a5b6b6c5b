"""Several TOML texts as one table, and which file set what on which line."""

from pathlib import Path
from typing import Any, NamedTuple

Key = tuple[str | int, ...]


class Layer(NamedTuple):
    """One text. label: what a Problem calls it, as conf.d/20-site.toml."""

    order: int
    label: str
    path: Path
    text: str


class Origins:
    """Where each key was set. Lines are worked out when somebody asks, that is, when there is a problem."""

    def __init__(self, main: Layer) -> None:
        self._main = main
        self._set_by: dict[Key, Layer] = {}
        self._lines: dict[int, dict[Key, int]] = {}

    def note(self, key: Key, layer: Layer) -> None:
        self._set_by[key] = layer

    def forget(self, key: Key) -> None:
        """The key and what is below it."""
        self._set_by = {one: layer for one, layer in self._set_by.items() if one[: len(key)] != key}

    def folder(self, key: Key) -> Path:
        """The folder of the file that set the key: relative paths begin there."""
        return self._layer(key).path.parent

    def path(self, key: Key) -> Path:
        """The file that set the key, or the nearest table above it."""
        return self._layer(key).path

    def place(self, key: Key) -> tuple[int, int, str]:
        """(which file, from 0; line; label of the file): of the key, or of the table that it is missing from."""
        from agent.config import lines  # only now: a good config needs no parser

        layer = self._layer(key)
        if layer.order not in self._lines:
            self._lines[layer.order] = lines.key_lines(layer.text)
        return layer.order, lines.line_of(self._lines[layer.order], key), layer.label

    def where(self, key: Key) -> str:
        """`yard.toml:14 lane.yard.source.url`."""
        _, line, label = self.place(key)
        return f"{label}:{line} {dotted(key)}".rstrip()

    def _layer(self, key: Key) -> Layer:
        return next(
            (self._set_by[key[:end]] for end in range(len(key), 0, -1) if key[:end] in self._set_by), self._main
        )


def dotted(key: Key) -> str:
    """`lane.yard.zone.dock.polygon[2][0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def merged(texts: list[tuple[str, Path, str, dict[str, Any]]]) -> tuple[dict[str, Any], Origins]:
    """One table: later texts win key by key, tables are joined, lists are replaced. texts: (label, path, text, its tables)."""
    layers = [Layer(order, label, path, text) for order, (label, path, text, _) in enumerate(texts)]
    origins = Origins(layers[0])
    table: dict[str, Any] = {}
    for layer, (_, _, _, over) in zip(layers, texts, strict=True):
        _lay(over, table, (), layer, origins)
    return table, origins


def _lay(over: dict[str, Any], table: dict[str, Any], key: Key, layer: Layer, origins: Origins) -> None:
    for name, value in over.items():
        place = (*key, name)
        if not isinstance(value, dict):
            origins.forget(place)
            origins.note(place, layer)
            table[name] = value
            continue
        if not isinstance(table.get(name), dict):
            origins.forget(place)
            origins.note(place, layer)
            table[name] = {}
        _lay(value, table[name], place, layer, origins)
