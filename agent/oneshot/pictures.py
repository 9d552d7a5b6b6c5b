"""Where annotated pictures are written: DIR/NAME.png, of videos and arrays DIR/NAME_000001.png. No input is ever written over."""

from pathlib import Path
from typing import TYPE_CHECKING

from agent.oneshot.inputs import Given
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COMPRESSION = 3  # of 9: half the time for a tenth more bytes


class Pictures:
    """Problem (Exit.COMMAND_LINE) when the folder cannot be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}  # file name → the input that it is of
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from None

    def write(self, given: Given, picture: "NDArray[np.uint8]") -> Path:
        """The file written."""
        import cv2

        path = self._folder / self._name(given)
        _, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise _unwritable(path, error) from None
        return path

    def _name(self, given: Given) -> str:
        """Inputs of one name in different folders, or with different endings, get a number; beside the input: NAME_annotated.png."""
        source = Path(given.name)
        stem = source.stem
        if source.parent.resolve() == self._folder.resolve():
            stem += "_annotated"
        number = "" if given.number is None else f"_{given.number:06d}"
        name, count = f"{stem}{number}.png", 1
        while self._names.setdefault(name, given.name) != given.name:
            count += 1
            name = f"{stem}_{count}{number}.png"
        return name


def _unwritable(path: Path, error: OSError) -> Problem:
    return Problem(
        where="--annotate",
        what=f"{path} cannot be written: {error.strerror}",
        remedy="Name a folder that this user may write to",
        code=Exit.COMMAND_LINE,
    )
