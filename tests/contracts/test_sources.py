"""The room's contract, for every kind in it: opening what is not there is a Problem; what opens gives records in order and closes.

A new kind is in here at once; one without an entry in `OPENABLE` is only tried with something that is not there.
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from peers.rtsp_server import RtspServer

from agent.clock import SystemClock
from agent.config.kinds import is_sensor, kinds, load
from agent.problems import Problem
from agent.records import Frame, Gap, Read, Write
from agent.sources import Ended
from agent.values import RelativePath

KINDS = kinds("sources")


@contextmanager
def images(folder: Path) -> Iterator[dict[str, Any]]:
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8, 3), number, np.uint8))
    yield {"path": RelativePath(folder), "rate_hz": 100.0}


@contextmanager
def video(folder: Path) -> Iterator[dict[str, Any]]:
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 100.0, (16, 16))
    for _ in range(3):
        writer.write(np.zeros((16, 16, 3), np.uint8))
    writer.release()
    yield {"url": str(folder / "clip.avi")}


@contextmanager
def rtsp(_folder: Path) -> Iterator[dict[str, Any]]:
    with RtspServer() as server:
        yield {"url": server.url}


# Kind: what gives configs of it that open.
OPENABLE: dict[str, list[Callable[[Path], AbstractContextManager[dict[str, Any]]]]] = {
    "camera": [video, rtsp],
    "images": [images],
    "rtsp": [rtsp],
}
CASES = [(kind, scene) for kind in KINDS for scene in OPENABLE.get(kind, [None])]


def absent(kind: str, folder: Path) -> Any:
    """The kind's config with every path or address naming what is not there."""
    config = load("sources", kind).Config
    required = [field.name for field in msgspec.structs.fields(config) if field.required]
    return config(**{name: RelativePath(folder / "not-there") for name in required})


@contextmanager
def opened(kind: str, config: Any) -> Iterator[Any]:
    with load("sources", kind).open_source(config, SystemClock(), threading.Event(), "lane.x.source") as source:
        yield source


def test_there_are_kinds() -> None:
    assert {"camera", "images", "serial_sensor"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_module_is_complete(kind: str) -> None:
    module = load("sources", kind)
    assert module.__doc__
    assert list(inspect.signature(module.open_source).parameters) == ["config", "clock", "stop", "where"]
    assert hasattr(module, "open_unpack") == is_sensor(kind)
    for field in msgspec.structs.fields(module.Config):
        assert "description" in str(field.type) or field.name == "password", f"{field.name} has no description"
    assert module.Config.__struct_config__.frozen
    assert "stall_s" in {field.name for field in msgspec.structs.fields(module.Config)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_is_a_yes_or_no_of_the_config(kind: str, tmp_path: Path) -> None:
    assert load("sources", kind).every_record(absent(kind, tmp_path)) in (True, False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_there_is_a_problem_that_names_the_key(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught, opened(kind, absent(kind, tmp_path)):
        pass
    assert caught.value.where.startswith("lane.x.source")
    assert "not-there" in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("kind", "scene"), CASES, ids=[f"{kind}-{getattr(scene, '__name__', '')}" for kind, scene in CASES]
)
def test_what_opens_gives_records_in_order_then_ends_or_waits(
    kind: str, scene: Callable[[Path], AbstractContextManager[dict[str, Any]]] | None, tmp_path: Path
) -> None:
    if scene is None:
        pytest.skip(f"{kind} is opened in its own tests")
    records = []
    with scene(tmp_path) as options, opened(kind, load("sources", kind).Config(**options)) as source:
        try:
            for _ in range(30):
                record = source.read(0.05)
                if record is not None:
                    records.append(record)
        except Ended:
            pass
    assert records
    assert all(isinstance(record, Frame | Read | Write | Gap) for record in records)
    times = [record.at_us for record in records]
    assert times == sorted(times)
    for frame in records:
        if isinstance(frame, Frame):
            assert (frame.pixels.dtype, frame.pixels.ndim, frame.pixels.shape[2]) == (np.uint8, 3, 3)
