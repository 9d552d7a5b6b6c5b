"""Colours by class: the same class has the same colour in every picture, and neighbours differ."""

import colorsys
import zlib

# Blue, green, red, 0..255, as OpenCV wants them.
Colour = tuple[int, int, int]

# Of limbs.
LEFT: Colour = (96, 220, 60)
RIGHT: Colour = (20, 140, 255)
_GOLDEN = 0.618033988749895


def colour(of: int | str) -> Colour:
    """of: a class number, or a label where there are no numbers. Steps of the golden section round the colour circle."""
    number = of if isinstance(of, int) else zlib.crc32(of.encode())
    hue = (0.58 + number * _GOLDEN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if number % 2 else 0.7, 1.0 if number % 3 else 0.85)
    return round(blue * 255), round(green * 255), round(red * 255)


def readable_on(background: Colour) -> Colour:
    """Black or white, whichever stands out more (luma of ITU-R BT.601)."""
    blue, green, red = background
    return (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else (255, 255, 255)
