"""What the page of `look` shows and does: asks the agent that runs, or one of its own, and writes what is drawn into the config file."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import msgspec

from agent.clock import Clock
from agent.config import edit
from agent.config.pictures import shapes
from agent.config.read import Loaded, read
from agent.log import fact
from agent.pipeline.run import Options, run_agent
from agent.problems import Exit, Problem
from agent.store.folder import lock_holder
from agent.web import handover
from agent.web.handover import Ask, Told
from agent.web.server import Drawn

_MEMORY = Path("/dev/shm")  # noqa: S108  results of an agent of one's own never reach the medium
_END_S = 10.0
_POLL_S = 0.05


class LookPages:
    """folder: where the agent listens that has the camera."""

    def __init__(self, loaded: Loaded, folder: "Folder", lane: str) -> None:
        self._loaded = loaded
        self._folder = folder
        self._lane = lane
        self._saving = threading.Lock()

    def ask(self, question: Ask) -> tuple[Told, bytes]:
        if question.lane is None:
            question = msgspec.structs.replace(question, lane=self._lane)
        return handover.ask(self._folder.now(), question)

    def shapes(self, lane: str) -> dict[str, Any]:
        """Of the file as it is now, which may be ahead of the agent."""
        seen = edit.state(self._loaded.path)
        loaded = read(self._loaded.path)
        if lane not in loaded.file.lane:
            raise _problem(f"the config has no lane {lane} any more")
        table = loaded.file.lane[lane]
        return {
            "file": str(loaded.origins.path(("lane", lane))),
            "seen": seen,
            "shapes": shapes(table),
        }

    def save(self, drawn: Drawn) -> str:
        line = drawn.kind == "line" and not drawn.remove
        if drawn.kind not in get_args(edit.Kind) or (line and len(drawn.points) != 2):
            raise _problem("this is neither a zone nor a line nor a mask")
        shape = edit.Shape(drawn.lane, drawn.kind, drawn.name, drawn.points)  # type: ignore[arg-type]
        with self._saving:
            path = edit.save(self._loaded.path, shape, seen=drawn.seen, remove=drawn.remove)
        return f"{drawn.kind} {drawn.name} is {'out of' if drawn.remove else 'in'} {path}. It holds from the agent's next start on."


class Folder:
    """Where to ask: the data folder while an agent runs on it, else that of an agent of our own."""

    def __init__(self, data: Path, own: Path | None, stop: threading.Event) -> None:
        self._data = data
        self._own = own
        self._stop = stop

    def now(self) -> Path:
        if self._own is not None and lock_holder(self._data) is not None:
            logging.getLogger(__name__).warning(fact("the agent has started: it has the cameras now"))
            self._stop.set()
            self._own = None
        return self._own or self._data


@contextmanager
def open_agent(loaded: Loaded, clock: Clock, stop: threading.Event) -> Iterator[Folder]:
    """Who is asked. Where no agent runs, one of our own does meanwhile, that keeps nothing and sends nothing. Problem: its models do not open.

    stop: set when that one ends by itself.
    """
    data = Path(loaded.file.device.data)
    if data.is_dir() and not os.access(data, os.R_OK | os.X_OK):
        raise Problem(
            where=str(data),
            what="this user may not look into the data folder",
            remedy="Start `look` as the user that the agent runs as, or as root",
            code=Exit.STORE,
        )
    if lock_holder(data) is not None:
        yield Folder(data, None, stop)
        return
    cameras = [name for name, lane in loaded.file.lane.items() if lane.window is None]
    own_stop, failed = threading.Event(), list[BaseException]()
    with tempfile.TemporaryDirectory(prefix="edge-agent-look-", dir=_MEMORY if _MEMORY.is_dir() else None) as scratch:

        def live() -> None:
            try:
                options = Options(data=Path(scratch), offline=True)
                run_agent(loaded.only(cameras), options, clock=clock, stop=own_stop)
            except BaseException as error:  # noqa: BLE001  told by who waits
                failed.append(error)
                stop.set()

        thread = threading.Thread(target=live, name="look-agent")
        thread.start()
        try:
            while not (Path(scratch) / handover.SOCKET).exists() and not clock.wait(stop, _POLL_S):
                pass  # it opens its store and reads its models
            yield Folder(data, Path(scratch), own_stop)
        finally:
            own_stop.set()
            thread.join(_END_S)
    if failed:
        raise failed[0]


def _problem(what: str) -> Problem:
    return Problem(where="look", what=what, remedy="Load the page again", code=Exit.NO)
