"""Reads a flatbuffer without its schema's generated code, by slot number; every offset is checked, a bad one raises one of DAMAGED.

Format: flatbuffers.dev/internals. A table begins with the distance back to its vtable: u16 size, u16 size of the table, u16 a slot; a slot of 0
is absent. Vectors and strings begin with their count.
"""

import struct

DAMAGED = (struct.error, IndexError, ValueError, UnicodeDecodeError, OverflowError, MemoryError)
# A damaged count may promise anything: no model has so many tables or numbers in one vector, or so long a name.
_MOST_ITEMS = 1 << 20
_MOST_TEXT_BYTES = 1 << 18


class Table:
    """Numbers that are absent are 0, texts "", vectors empty, as in the schemas read here."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._position = data, position
        self._vtable = position - self._at("<i", position)

    @classmethod
    def root(cls, data: bytes) -> "Table":
        return cls(data, int(struct.unpack_from("<I", data, 0)[0]))

    def _at(self, form: str, position: int) -> int:
        if position < 0:
            raise IndexError(position)
        return int(struct.unpack_from(form, self._data, position)[0])

    def _slot(self, slot: int) -> int:
        """Position of a field, 0 when it is absent."""
        entry = 4 + 2 * slot
        if entry + 2 > self._at("<H", self._vtable):
            return 0
        offset = self._at("<H", self._vtable + entry)
        return self._position + offset if offset else 0

    def _follow(self, position: int) -> int:
        return position + self._at("<I", position)

    def number(self, slot: int, form: str) -> int:
        """form: of `struct`, an integer."""
        position = self._slot(slot)
        return self._at(form, position) if position else 0

    def table(self, slot: int) -> "Table | None":
        position = self._slot(slot)
        return Table(self._data, self._follow(position)) if position else None

    def _vector(self, slot: int, size: int) -> tuple[int, int]:
        """(position of the first, count)"""
        position = self._slot(slot)
        if not position:
            return 0, 0
        start = self._follow(position)
        count = self._at("<I", start)
        if start + 4 + count * size > len(self._data) or (size > 1 and count > _MOST_ITEMS):
            raise IndexError(count)
        return start + 4, count

    def place(self, slot: int) -> tuple[int, int]:
        """(position in the data, bytes) of a byte vector."""
        return self._vector(slot, 1)

    def raw(self, slot: int) -> bytes:
        start, count = self._vector(slot, 1)
        return self._data[start : start + count]

    def text(self, slot: int) -> str:
        if self.place(slot)[1] > _MOST_TEXT_BYTES:
            raise IndexError(slot)
        return self.raw(slot).decode()

    def numbers(self, slot: int, letter: str) -> tuple[int, ...]:
        """letter: of `struct`, an integer: `i`, `q`."""
        start, count = self._vector(slot, struct.calcsize(f"<{letter}"))
        return struct.unpack_from(f"<{count}{letter}", self._data, start) if count else ()

    def floats(self, slot: int) -> tuple[float, ...]:
        start, count = self._vector(slot, 4)
        return struct.unpack_from(f"<{count}f", self._data, start) if count else ()

    def tables(self, slot: int) -> "list[Table]":
        start, count = self._vector(slot, 4)
        return [Table(self._data, self._follow(start + 4 * index)) for index in range(count)]
