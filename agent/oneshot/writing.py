"""Lines, dots and text on a picture, in sizes that suit it."""

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agent.oneshot.palette import Colour, readable_on

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DARK: Colour = (24, 24, 24)
_BLOCK_SHADE = 0.35  # how much of the picture is seen through a block of text
# OpenCV's old font: pixels from the base line to the top of a capital letter at scale 1.
_HERSHEY_PX = 22.0


class Pen:
    """Draws on `picture`, (height, width, 3) uint8 BGR, in place. Labels remember where others are."""

    def __init__(self, picture: "NDArray[np.uint8]") -> None:
        self._picture = picture
        self.height, self.width = picture.shape[:2]
        shorter = min(self.height, self.width)
        self._text_px: int = max(11, round(0.026 * shorter))
        self._stroke_px = max(1, round(shorter / 240))
        self._pad_px: int = max(2, self._text_px // 4)
        self._font = _Font()
        self.label_height = self._text_px + 2 * self._pad_px
        self._taken: list[tuple[int, int, int, int]] = []

    def rectangle(self, corners: tuple[int, int, int, int], colour: Colour) -> None:
        """With a dark line beneath, so that it is seen on any ground."""
        import cv2

        x0, y0, x1, y1 = corners
        for wide, shade in ((self._stroke_px + 2, _DARK), (self._stroke_px, colour)):
            cv2.rectangle(self._picture, (x0, y0), (x1, y1), shade, wide, cv2.LINE_AA)

    def limb(self, one: tuple[int, int], other: tuple[int, int], colour: Colour) -> None:
        import cv2

        wide = max(2, 2 * self._stroke_px)
        cv2.line(self._picture, one, other, _DARK, wide + 2, cv2.LINE_AA)
        cv2.line(self._picture, one, other, colour, wide, cv2.LINE_AA)

    def dot(self, place: tuple[int, int], colour: Colour) -> None:
        import cv2

        radius = max(2, round(1.8 * self._stroke_px))
        cv2.circle(self._picture, place, radius + 1, _DARK, -1, cv2.LINE_AA)
        cv2.circle(self._picture, place, radius, colour, -1, cv2.LINE_AA)

    def text_width(self, text: str) -> int:
        """Of a label with its border."""
        return self._font.width(text, self._text_px) + 2 * self._pad_px

    def label(self, text: str, colour: Colour, places: Sequence[tuple[float, float]]) -> None:
        """places: wished for its upper left corner; the first where it lies inside the picture and on no other label, else the first."""
        text = self._fitting(text)
        size = (min(self.text_width(text), self.width), min(self.label_height, self.height))
        inside = [self._moved_in(place, size) for place in places]
        kept = [moved for moved, place in zip(inside, places, strict=True) if abs(moved[1] - place[1]) < 1]
        free = [place for place in kept if not any(_overlap(self._area(place, size), other) for other in self._taken)]
        x, y = (free or kept or inside)[0]
        area = self._area((x, y), size)
        self._taken.append(area)
        self._picture[area[1] : area[3], area[0] : area[2]] = colour
        self._write(text, x + self._pad_px, y + self._pad_px + self._text_px, readable_on(colour))

    def block(self, texts: Sequence[str]) -> None:
        """Lines on a shade in the upper left corner."""
        texts = [self._fitting(text) for text in texts]
        line_px = round(1.4 * self._text_px)
        height = min(self.height, len(texts) * line_px + 2 * self._pad_px)
        width = min(self.width, max(self.text_width(text) for text in texts))
        ground = self._picture[:height, :width]
        ground[:] = (ground * _BLOCK_SHADE).astype("uint8")
        for number, text in enumerate(texts):
            base = self._pad_px + self._text_px + number * line_px
            if base < self.height:
                self._write(text, self._pad_px, base, (255, 255, 255))

    def _write(self, text: str, x: int, base: int, colour: Colour) -> None:
        self._font.write(self._picture, text, x, base - max(1, self._text_px // 8), colour, self._text_px)

    def _fitting(self, text: str) -> str:
        """Cut at its end where the picture is too narrow."""
        if self.text_width(text) <= self.width:
            return text
        while text and self.text_width(text + "…") > self.width:
            text = text[:-1]
        return text + "…"

    def _moved_in(self, place: tuple[float, float], size: tuple[int, int]) -> tuple[int, int]:
        return (
            min(max(0, round(place[0])), self.width - size[0]),
            min(max(0, round(place[1])), self.height - size[1]),
        )

    @staticmethod
    def _area(place: tuple[int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
        return place[0], place[1], place[0] + size[0], place[1] + size[1]


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


class _Font:
    """OpenCV 5 has outlines of all scripts; before it only ASCII can be written."""

    def __init__(self) -> None:
        import cv2

        self._cv2: Any = cv2
        self._face = cv2.FontFace("sans") if hasattr(cv2, "FontFace") else None

    def width(self, text: str, size_px: int) -> int:
        if self._face is not None:
            _, _, width, _ = self._cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), self._face, size_px, 500)
            return int(width) + 1
        (width, _), _ = self._cv2.getTextSize(
            _ascii(text), self._cv2.FONT_HERSHEY_SIMPLEX, size_px / _HERSHEY_PX, max(1, size_px // 14)
        )
        return int(width) + 1

    def write(self, picture: "NDArray[np.uint8]", text: str, x: int, base: int, colour: Colour, size_px: int) -> None:
        if self._face is not None:
            self._cv2.putText(picture, text, (x, base), colour, self._face, size_px, 500)
            return
        scale, wide = size_px / _HERSHEY_PX, max(1, size_px // 14)
        self._cv2.putText(
            picture, _ascii(text), (x, base), self._cv2.FONT_HERSHEY_SIMPLEX, scale, colour, wide, self._cv2.LINE_AA
        )


def _ascii(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("…", "..."))
    return "".join(letter if letter.isascii() else "?" for letter in plain if not unicodedata.combining(letter))
