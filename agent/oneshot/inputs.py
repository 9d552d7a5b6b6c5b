"""What a person names → what a model looks at, in order: pictures, .npy arrays, folders of both, videos.

Pictures are read as OpenCV reads them (turned as their EXIF says). Arrays of uint8 are pictures where the model takes pictures: (height, width)
grey or (height, width, 3) RGB, as most programs save them, or (n, …) of them. Other arrays are windows: the numbers that the model's input
takes, one window or (n, …) of them; an autoencoder of one axis takes (axes, numbers).
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from agent.problems import Exit, Problem
from agent.records import Frame, SampleWindow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif", ".jp2")
VIDEOS = (
    ".mp4",
    ".m4v",
    ".avi",
    ".mkv",
    ".mov",
    ".webm",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mjpeg",
    ".mjpg",
    ".h264",
    ".264",
    ".wmv",
    ".3gp",
)
ARRAYS = (".npy",)


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One input. name: as given, folder/file for one of a folder. number: from 1, of a video's frames or an array's items. time_s: of a video's frame.

    first: nothing came before it that belongs to it, so that a recurrent model begins anew.
    """

    name: str
    record: Frame | SampleWindow
    number: int | None = None
    time_s: float | None = None
    first: bool = True


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the model takes. pictures: its input is an image. channels: of that. size: how many numbers it takes; 0: open. rows: a window
    of several axes is run axis by axis.
    """

    pictures: bool
    channels: int = 3
    size: int = 0
    rows: bool = False

    @property
    def kind(self) -> Literal["frame", "window"]:
        return "frame" if self.pictures else "window"


def read_inputs(names: list[str], wanted: Wanted, *, every_s: float | None = None) -> Iterator[Given | Problem]:
    """A Problem in the place of what cannot be read; the next one follows. every_s: of a video, at most one frame in so many seconds."""
    next_s = 0.0
    for name in names:
        try:
            for given in _read(name, wanted):
                if every_s is not None and isinstance(given, Given) and given.time_s is not None:
                    if given.time_s < (next_s if given.number != 1 else 0.0) - 1e-6:
                        continue
                    next_s = given.time_s + every_s
                yield given
        except Problem as problem:
            yield problem


def _read(name: str, wanted: Wanted) -> Iterator[Given | Problem]:
    path = Path(name)
    if path.is_dir():
        yield from _folder(name, path, wanted)
        return
    if not path.exists():
        raise Problem(where=name, what="there is no such file", remedy="Check the name", code=Exit.COMMAND_LINE)
    if not path.is_file():
        raise Problem(
            where=name,
            what="it is no file",
            remedy="Give a picture, an .npy file, a folder or a video; cameras are for `edge-agent run`",
            code=Exit.COMMAND_LINE,
        )
    yield from _file(name, path, wanted)


def _folder(name: str, path: Path, wanted: Wanted) -> Iterator[Given | Problem]:
    """In the order of names; what is none of the known kinds is left out. One sequence for a recurrent model."""
    known = (*PICTURES, *VIDEOS, *ARRAYS)
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in known and file.is_file())
    if not files:
        raise Problem(
            where=name, what="the folder holds no picture, array or video", remedy=f"Known are {' '.join(known)}"
        )
    first = True
    for file in files:
        try:
            for given in _file(f"{name.rstrip('/')}/{file.name}", file, wanted):
                yield msgspec.structs.replace(given, first=first)
                first = False
        except Problem as problem:
            yield problem


def _file(name: str, path: Path, wanted: Wanted) -> Iterator[Given]:
    ending = path.suffix.lower()
    if ending in ARRAYS:
        return _array(name, path, wanted)
    if ending in VIDEOS:
        return _video(name, path)
    pixels = _picture(name, path) if ending in PICTURES or _small(path) else None
    if pixels is not None:
        return iter([Given(name=name, record=Frame(at_us=0, bgr=pixels))])
    if ending in PICTURES:
        raise Problem(
            where=name,
            what="it is empty" if not path.stat().st_size else "no picture that OpenCV can read",
            remedy="Give a picture that a viewer shows",
        )
    return _video(name, path)


def _small(path: Path) -> bool:
    """Worth a try as a picture although its name does not say that it is one."""
    return path.stat().st_size < 64 << 20


def _picture(name: str, path: Path) -> "NDArray[np.uint8] | None":
    """Pixels (height, width, 3) BGR; None when it is no picture. Read by us: OpenCV's own reading prints for what it does not know."""
    import cv2
    import numpy as np

    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise Problem(
            where=name, what=f"it cannot be read: {error.strerror}", remedy="Check its owner and its rights"
        ) from None
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _video(name: str, path: Path) -> Iterator[Given]:
    from agent.clock import SystemClock
    from agent.sources import Ended
    from agent.sources._capture import Capture, open_file
    from agent.sources._video_file import VideoFile

    def open_video() -> Capture:
        capture = open_file(str(path))
        if not capture.opened:
            raise Problem(
                where=name,
                what="it is empty" if not path.stat().st_size else "neither a picture nor a video that OpenCV can read",
                remedy=f"Pictures end in {' '.join(PICTURES)}, arrays in .npy; a video is one that a player shows",
            )
        return capture

    clock, stop = SystemClock(), threading.Event()
    video = VideoFile(open_video, name, loop=False, live=False, clock=clock, stop=stop, where=name)
    try:
        number, began_us = 0, 0
        while True:
            try:
                frame = video.read(0.0)
            except Ended:
                return
            if frame is not None:
                number += 1
                began_us = frame.at_us if number == 1 else began_us
                time_s = (frame.at_us - began_us) / 1e6
                yield Given(name=name, record=frame, number=number, time_s=time_s, first=number == 1)
    finally:
        video.close()


def _array(name: str, path: Path, wanted: Wanted) -> Iterator[Given]:
    array = _load_array(name, path)
    if wanted.pictures and array.dtype == "uint8" and array.ndim >= 2:
        items = [_pixels(name, item) for item in _pictures(name, array)]
        records: list[Frame | SampleWindow] = [Frame(at_us=0, bgr=pixels) for pixels in items]
    elif wanted.pictures and wanted.channels > 1:
        raise Problem(
            where=name,
            what=f"an array of {shown(array)}, and the model takes pictures",
            remedy="Save pixels as uint8, (height, width, 3) RGB or (height, width) grey",
        )
    else:
        records = [SampleWindow(at_us=0, samples=window) for window in _windows(array, wanted)]
    numbered = len(records) > 1
    for number, record in enumerate(records, 1):
        yield Given(name=name, record=record, number=number if numbered else None, first=number == 1)


def _load_array(name: str, path: Path) -> "NDArray[Any]":
    import numpy as np

    try:
        loaded: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        what = str(error).partition("\n")[0] or type(error).__name__
        raise Problem(where=name, what=f"no array: {what}", remedy="Save it with numpy.save") from None
    if not isinstance(loaded, np.ndarray):  # numpy.savez' archive of several
        loaded.close()
        raise Problem(where=name, what="an archive of several arrays", remedy="Save each with numpy.save")
    array: NDArray[Any] = loaded
    if array.dtype.kind not in "fiub" or not array.size:
        raise Problem(where=name, what=f"an array of {shown(array)}", remedy="Save numbers (float32, uint8, …)")
    return array


def _pictures(name: str, array: "NDArray[Any]") -> "list[NDArray[Any]]":
    """(h, w), (h, w, 1 | 3 | 4), (n, h, w), (n, h, w, 1 | 3 | 4) → each picture."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4)):
        return [array]
    if array.ndim == 3 or (array.ndim == 4 and array.shape[-1] in (1, 3, 4)):
        return list(array)
    raise Problem(
        where=name,
        what=f"an array of {shown(array)} is no picture",
        remedy="Save (height, width, 3) RGB or (height, width) grey",
    )


def _pixels(name: str, array: "NDArray[Any]") -> "NDArray[np.uint8]":
    """RGB, RGBA or grey → BGR."""
    import cv2
    import numpy as np

    if min(array.shape[:2]) < 1:
        raise Problem(where=name, what=f"an array of {shown(array)} has no pixels", remedy="Save a picture")
    channels = array.shape[2] if array.ndim == 3 else 1
    codes = {1: cv2.COLOR_GRAY2BGR, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGR}
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(array), codes[channels]), np.uint8)


def _windows(array: "NDArray[Any]", wanted: Wanted) -> "list[NDArray[np.float32]]":
    """One window, or one a row; which it is follows from the model's size. What fits neither goes as it is: the model's input says what it takes."""
    import numpy as np

    values: NDArray[np.float32] = np.atleast_1d(array).astype(np.float32)
    if wanted.rows:
        items = list(values) if values.ndim > 2 else [values]
        return [item.reshape(-1, item.shape[-1]) for item in items]
    if values.ndim > 1 and values.size != wanted.size and values.size == values.shape[0] * wanted.size:
        return [item.reshape(1, -1) for item in values]
    return [values.reshape(1, -1) if values.size == wanted.size else values.reshape(-1, values.shape[-1])]


def shown(array: "NDArray[Any]") -> str:
    """`224×224×3 float32`"""
    return f"{'×'.join(map(str, array.shape))} {array.dtype}"
