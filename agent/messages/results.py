"""`result/{lane}`: single results as columns, up to 1,000 in an item. On `back/` only, and only where the config asks for them.

A column that has the same value in all rows is that value alone, else a list of n. Scores and places are in ten-thousandths, as in the store.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from agent.messages.envelope import Count, Item, Name, Number, Text

Whole = int | None | list[int | None]


class Results(Item, frozen=True, kw_only=True):
    """n rows, in the order of storing. t: UTC of the first and of the last; null: a boot that never learnt the time, mono has the same in
    microseconds of boot time. dt: milliseconds since the row before, 0 for the first; over all rows it adds up to t[1] - t[0], but for rounding.

    m, l: place in models, in labels; l null: a bare value. s: score. box: x0, y0, x1, y1, or null where no row has one. x: base64 of the bytes that
    the store keeps beside a result: keypoints as int16, vectors as float32, little-endian.
    """

    k: Literal["res"] = "res"
    n: Number
    t: tuple[Text, Text] | None
    mono: tuple[Count, Count] | UnsetType = UNSET
    dt: list[int]
    models: list[Name]
    labels: list[str]
    m: Whole
    l: Whole  # noqa: E741
    s: Whole
    box: tuple[Whole, Whole, Whole, Whole] | None
    track: Whole
    value: float | list[float | None] | None
    x: str | list[str | None] | None
