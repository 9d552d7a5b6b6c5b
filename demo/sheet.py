"""A contact sheet: pictures of the demo's own recording with what the store says was seen on them, joined by lane and time."""

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

COLUMNS, ROWS, TILE_WIDTH_PX = 4, 3, 320
_BOX_BGR, _TEXT_BGR, _BACK_BGR = (80, 220, 80), (255, 255, 255), (40, 40, 40)


class Seen(NamedTuple):
    """A row of the view `results`."""

    at_us: int
    label: str
    score: float
    box: tuple[float, float, float, float] | None


def draw_sheet(recording: Path, store: Path, lane: str, to: Path) -> int:
    """Draws frames of the recording that have results, spread over its length; how many were drawn."""
    import cv2
    import numpy as np

    seen = _results(store, lane)
    path = recording / lane / "input.jsonl"
    texts = path.read_text().splitlines() if path.exists() else []
    lines = [json.loads(text) for text in texts if text.endswith("}")]
    frames = [line for line in lines if line["k"] == "frame" and line["at_us"] in seen]
    if not frames:
        return 0
    places = np.unique(np.linspace(0, len(frames) - 1, COLUMNS * ROWS).round().astype(int))
    tiles = []
    for place in places:
        picture = cv2.imread(str(recording / lane / "frames" / frames[place]["file"]), cv2.IMREAD_COLOR)
        if picture is not None:
            start_s = (frames[place]["at_us"] - frames[0]["at_us"]) / 1e6
            tiles.append(_tile(np.asarray(picture, dtype=np.uint8), seen[frames[place]["at_us"]], start_s))
    blank = np.zeros_like(tiles[0])
    rows = -(-len(tiles) // COLUMNS)
    tiles += [blank] * (rows * COLUMNS - len(tiles))
    cv2.imwrite(str(to), np.vstack([np.hstack(tiles[row * COLUMNS : (row + 1) * COLUMNS]) for row in range(rows)]))
    return len(places)


def _results(store: Path, lane: str) -> dict[int, list[Seen]]:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT r.at_us, label.text, r.score_e4, r.x0_e4, r.y0_e4, r.x1_e4, r.y1_e4 FROM result r"
            " JOIN name lane ON lane.id = r.lane JOIN name label ON label.id = r.label WHERE lane.text = ? ORDER BY r.id",
            (lane,),
        ).fetchall()
    connection.close()
    found: dict[int, list[Seen]] = {}
    for at_us, label, score, *box in rows:
        sides = tuple(side / 1e4 for side in box) if box[0] is not None else None
        found.setdefault(at_us, []).append(Seen(at_us, label, (score or 0) / 1e4, sides))  # type: ignore[arg-type]
    return found


def _tile(picture: "Picture", seen: list[Seen], start_s: float) -> "Picture":
    import cv2
    import numpy as np

    height, width = picture.shape[:2]
    for one in seen:
        if one.box is not None:
            x0, y0, x1, y1 = one.box
            cv2.rectangle(
                picture, (round(x0 * width), round(y0 * height)), (round(x1 * width), round(y1 * height)), _BOX_BGR, 3
            )
    tile = cv2.resize(picture, (TILE_WIDTH_PX, round(height * TILE_WIDTH_PX / width)), interpolation=cv2.INTER_AREA)
    cv2.rectangle(tile, (0, tile.shape[0] - 20), (TILE_WIDTH_PX, tile.shape[0]), _BACK_BGR, -1)
    text = f"{start_s:5.1f} s  " + ", ".join(f"{one.label} {one.score:.2f}" for one in seen)
    cv2.putText(tile, text[:46], (5, tile.shape[0] - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT_BGR, 1, cv2.LINE_AA)
    return np.asarray(tile, dtype=np.uint8)
