"""The running agent hands its newest picture to who asks over the socket: people hidden, nothing made while nobody asks."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from peers.agents import agent, scene, wait_for, write_config
from peers.lane_seconds import found as boxes_found
from peers.lane_seconds import second
from peers.runners import found

from agent.clock import SystemClock
from agent.config.read import read
from agent.pipeline.looking import Looking, open_looking
from agent.pipeline.showing import LaneShowing, Showing
from agent.pipeline.supervisor import LaneState, ModelState
from agent.problems import Problem
from agent.records import Frame, Inference
from agent.web import handover
from agent.web.handover import Ask

LIMIT_S = 20.0
BLUR = '[privacy]\nblur = "persons"\n'
PERSON = Inference(model="view", at_us=1, detections=found("person", box=(0.25, 0.25, 0.5, 0.5)), took_ms=3.0)


class Lane:
    """The agent's side of a lane that a test feeds."""

    def __init__(self, folder: Path, table: str = "") -> None:
        import logging

        path = write_config(folder, "gate-07", scene(folder, 2), lanes=("yard", "door"))
        path.write_text(path.read_text() + table)
        self.file = read(path, environment={}).file
        self.pictures = Showing(self.file, None, logging.getLogger("test"))
        state = LaneState(
            state="running", problem=None, input_at_us=1, restarts=0, refused_models=(),
            models={"view": ModelState(runtime="litert", delegate="xnnpack", sha256="0", problem=None)},
        )  # fmt: skip
        self.looking = Looking(self.pictures, lambda: {"yard": state, "door": state}, SystemClock())
        self.folder = folder
        lane = self.pictures.lane("yard", {"view": ("person",)})
        assert lane is not None
        self.lane: LaneShowing = lane
        self.at_us = SystemClock().boot_us()

    def give(self, result: Inference | None = PERSON) -> int:
        self.at_us += 1_000
        frame = Frame(at_us=self.at_us, bgr=np.random.default_rng(1).integers(0, 256, (120, 160, 3), dtype=np.uint8))
        self.lane.take(frame, {} if result is None else {"view": result}, [])
        return self.at_us

    @contextmanager
    def feeding(self, result: Inference | None = PERSON) -> Iterator[None]:
        """A frame each 20 ms."""
        over = threading.Event()

        def feed() -> None:
            while not over.wait(0.02):
                self.give(result)

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    lane = Lane(tmp_path)
    with open_looking(lane.looking, tmp_path):
        yield lane


def test_who_asks_gets_the_newest_picture_and_what_was_found(lane: Lane) -> None:
    with lane.feeding():
        told, jpeg = handover.ask(lane.folder, Ask(lane="yard"))
        later, again = handover.ask(lane.folder, Ask(lane="yard", after_us=told.at_us))
    assert (told.lane, told.lanes, told.state) == ("yard", ("yard", "door"), "running")
    assert (told.width_px, told.height_px) == (160, 120)
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
    (one,) = told.found
    assert (one.model, one.label, one.box, one.track) == ("view", "person", (0.25, 0.25, 0.5, 0.5), None)
    assert told.models["view"].delegate == "xnnpack"
    assert told.models["view"].took_ms == 3.0
    assert later.at_us > told.at_us
    assert again


def test_the_first_lane_with_pictures_when_none_is_named(lane: Lane) -> None:
    assert handover.ask(lane.folder, Ask(lane=None))[0].lane == "yard"
    assert handover.ask(lane.folder, Ask(lane="nowhere"))[0].lane == "yard"


def test_nothing_new_has_no_picture_and_no_reason(lane: Lane) -> None:
    with lane.feeding():
        told, _ = handover.ask(lane.folder, Ask(lane="yard"))
    told, _ = handover.ask(lane.folder, Ask(lane="yard", after_us=0))
    told, jpeg = handover.ask(lane.folder, Ask(lane="yard", after_us=lane.at_us))
    assert (jpeg, told.why, told.jpeg_bytes) == (b"", None, 0)


def test_a_lane_without_a_picture_says_so(lane: Lane) -> None:
    told, jpeg = handover.ask(lane.folder, Ask(lane="door"))
    assert (told.why, jpeg) == ("no picture has come yet", b"")


def test_nothing_is_handed_over_before_and_two_seconds_after_somebody_looked(lane: Lane) -> None:
    watch = lane.pictures.watches["yard"]
    assert not watch.wanted
    handover.ask(lane.folder, Ask(lane="yard"))
    assert watch.wanted
    assert not lane.pictures.watches["door"].wanted
    lane.give()
    wait_for(lambda: not watch.wanted, LIMIT_S, "the end of the watch")
    assert watch.newest.take(0.0) is None
    lane.give()
    assert watch.newest.take(0.0) is None


def test_at_most_five_pictures_a_second(lane: Lane) -> None:
    at_us, pictures, end = 0, 0, time.monotonic() + 2.0
    with lane.feeding():
        while time.monotonic() < end:
            told, jpeg = handover.ask(lane.folder, Ask(lane="yard", after_us=at_us))
            at_us, pictures = told.at_us, pictures + bool(jpeg)
    assert 3 <= pictures <= 11


@pytest.mark.parametrize("result", [None, Inference(model="view", at_us=1, detections=None, took_ms=1.0)])
def test_with_blur_a_picture_of_which_nobody_knows_is_not_handed_over(tmp_path: Path, result: Inference | None) -> None:
    lane = Lane(tmp_path, BLUR)
    with open_looking(lane.looking, tmp_path), lane.feeding(result):
        told, jpeg = handover.ask(tmp_path, Ask(lane="yard"))
    assert jpeg == b""
    assert told.why in ("the model view did not look at this picture", "the model view failed")
    assert told.blur == "persons"


def test_with_blur_the_person_is_hidden_in_what_is_handed_over(tmp_path: Path) -> None:
    lane = Lane(tmp_path, BLUR)
    with open_looking(lane.looking, tmp_path), lane.feeding():
        _, jpeg = handover.ask(tmp_path, Ask(lane="yard"))
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    inside, outside = picture[32:58, 42:78], picture[80:110, 100:150]
    assert inside.std() < 0.5 * outside.std()


def test_rates_are_those_of_the_newest_seconds(lane: Lane) -> None:
    for number in range(1, 9):
        lane.looking.note(second("yard", number * 1_000_000, *[boxes_found("x")] * number, gated=3, dropped=1))
    told, _ = handover.ask(lane.folder, Ask(lane="yard"))
    assert told.rates == {"seen": 10.5, "gated": 3.0, "inferred": 6.5, "failed": 0.0, "dropped": 1.0}


def test_only_this_user_may_connect(lane: Lane) -> None:
    assert (lane.folder / handover.SOCKET).stat().st_mode & 0o777 == 0o600


def test_the_socket_is_gone_at_the_end_and_one_left_behind_is_replaced(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with handover._reached(tmp_path) as place:
        left.bind(place)
    left.close()
    with pytest.raises(Problem, match="no agent runs"):
        handover.ask(tmp_path, Ask())
    with open_looking(lane.looking, tmp_path):
        handover.ask(tmp_path, Ask())
    assert not (tmp_path / handover.SOCKET).exists()
    with pytest.raises(Problem, match="no agent runs"):
        handover.ask(tmp_path, Ask())


@pytest.mark.parametrize("nonsense", [b"", b"GET / HTTP/1.1\r\n", b'{"lane":3}\n'])
def test_nonsense_on_the_socket_is_let_go_and_the_next_question_is_answered(lane: Lane, nonsense: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, handover._reached(lane.folder) as place:
        connection.connect(place)
        connection.sendall(nonsense)
    assert handover.ask(lane.folder, Ask())[0].lane == "yard"


def test_a_folder_with_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    lane = Lane(tmp_path)
    with open_looking(lane.looking, folder):
        assert handover.ask(folder, Ask())[0].lane == "yard"


def test_the_real_agent_is_asked_while_it_runs(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path))
    data = config.parent / "data"
    answers: list[Any] = []

    def asked() -> bool:
        try:
            answers.append(handover.ask(data, Ask(lane="door")))
        except Problem:
            return False
        return bool(answers[-1][1]) and "inferred" in answers[-1][0].rates

    with agent(config) as running:
        wait_for(asked, LIMIT_S, "a picture")
        assert running.terminate()[0] == 0
    told, _ = answers[-1]
    assert told.found[0].model == "view"
    assert told.found[0].box is None
    assert told.rates["seen"] > 1
    assert not (data / handover.SOCKET).exists()
