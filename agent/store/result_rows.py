"""Rows of `result`, made by column for all of a lane's second, and inserted ten at a time.

One statement with ten rows costs SQLite a third of ten with one row each: boot and lane are bound once, columns that are NULL in all rows are
not bound at all, and the statement is started once.
"""

import math
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, islice, repeat
from typing import TYPE_CHECKING, Any

from agent.records import Detections, Inference
from agent.store.transaction import Transaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

E4 = 10_000
_MOST = (1 << 63) - 1
_AT_ONCE = 10
_BOX = ("x0_e4", "y0_e4", "x1_e4", "y1_e4")


def insert_results(transaction: Transaction, lane: int, inferences: Sequence[Inference]) -> int:
    """All that the models found, in the order of the inferences; how many rows that is."""
    found = [(one, one.detections) for one in inferences if one.detections is not None and one.detections.labels]
    if not found:
        return 0
    columns = _columns(transaction, found)
    ids = transaction.next_ids(len(columns["at_us"]))
    names, numbers = ("id", *columns), chain.from_iterable(zip(ids, *columns.values(), strict=True))
    tens, rest = divmod(len(ids), _AT_ONCE)
    where = (transaction.boot, lane)
    for count, times in ((_AT_ONCE, tens), (1, rest)):
        if times:
            transaction.connection.executemany(
                _statement(names, count), [(*where, *islice(numbers, count * len(names))) for _ in range(times)]
            )
    return len(ids)


@cache
def _statement(columns: tuple[str, ...], rows: int) -> str:
    """Takes boot and lane, then the columns row by row."""
    row = f"(?1, ?2{', ?' * len(columns)})"
    return f"INSERT INTO result (boot, lane, {', '.join(columns)}) VALUES {', '.join([row] * rows)}"


def _columns(transaction: Transaction, found: Sequence[tuple[Inference, Detections]]) -> dict[str, Any]:
    """Of all rows, by column; those that are NULL in all of them are left out."""
    texts = [text for _, detections in found for text in detections.labels]
    # In the order of the rows: a name's number must not depend on chance.
    labels = {text: transaction.name("label", text) for text in dict.fromkeys(texts)}
    models = {text: transaction.name("model", text) for text in dict.fromkeys([one.model for one, _ in found])}
    columns: dict[str, Any] = {
        "at_us": [one.at_us for one, detections in found for _ in detections.labels],
        "model": [models[one.model] for one, detections in found for _ in detections.labels],
        "label": [labels[text] for text in texts],
    }
    boxes = [detections.boxes for _, detections in found]
    boxed = [part for part in boxes if part is not None]
    numbers = _e4([*[detections.scores for _, detections in found], *boxed])
    columns["score_e4"], corners = numbers[: len(texts)], numbers[len(texts) :]
    if corners:
        for place, name in enumerate(_BOX):
            columns[name] = corners[place::4]
            if len(boxed) < len(boxes):
                rest = iter(corners[place::4])
                columns[name] = _joined(found, [None if part is None else rest for part in boxes])
    values = [None if detections.values is None else detections.values.tolist() for _, detections in found]
    extras = [_extras(detections) for _, detections in found]
    tracks = [
        None if detections.tracks is None else [number or None for number in detections.tracks.tolist()]
        for _, detections in found
    ]
    for name, parts in (("track", tracks), ("value", values), ("extra", extras)):
        if parts.count(None) < len(parts):
            columns[name] = _joined(found, parts)
    return columns


def _joined(found: Sequence[tuple[Inference, Detections]], parts: Sequence[Iterable[Any] | None]) -> Iterable[Any]:
    """Of each part as many as were found; NULL where there is none."""
    for (_, detections), part in zip(found, parts, strict=True):
        yield from islice(repeat(None) if part is None else part, len(detections.labels))


def _e4(parts: "Sequence[NDArray[np.float32]]") -> list[int | None]:
    """Ten-thousandths of all numbers in a row, as many as a column holds; what is no number is NULL."""
    import numpy as np

    scaled = np.concatenate(parts, axis=None).astype(np.float64) * E4
    if np.abs(scaled).max(initial=0.0) < _MOST:  # False for what is no number, too
        exact: list[int | None] = np.rint(scaled).astype(np.int64).tolist()
        return exact
    return [max(-_MOST, min(_MOST, round(number))) if math.isfinite(number) else None for number in scaled.tolist()]


def _extras(found: Detections) -> list[bytes] | None:
    """The `extra` of each row: keypoints, else a vector as little-endian float32."""
    if found.keypoints is not None:
        return _keypoints(found.keypoints)
    if found.vectors is not None:
        return [row.astype("<f4").tobytes() for row in found.vectors]
    return None


def _keypoints(keypoints: "NDArray[np.float32]") -> list[bytes]:
    """(n, k, 3) x, y, score to n blobs of (k, 3) little-endian int16 in ten-thousandths."""
    import numpy as np

    scaled = (np.nan_to_num(keypoints).clip(-3.2768, 3.2767) * E4).round().astype("<i2")
    return [one.tobytes() for one in scaled]
