"""A camera that answers with single JPEGs, asked every so often: a real HTTP server with passwords, that is stuck, slow, silent, or no camera."""

import logging
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from peers.certificates import Authority
from peers.https_server import HttpsServer
from peers.snapshot_server import SnapshotServer

from agent.clock import SystemClock
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Source, Stalled, camera
from agent.values import Secret

WHERE = "lane.yard.source"
PASSWORD = "p@ss:w/rd?#geheim"
CLOCK = SystemClock()


def open_camera(url: str, **options: object):
    settings = {"every_s": 0.1, **options}
    return camera.open_source(camera.Config(url=url, **settings), CLOCK, threading.Event(), WHERE)  # type: ignore[arg-type]


def frames_of(source: Source, count: int) -> list[Frame]:
    found: list[Frame] = []
    while len(found) < count:
        record = source.read(1.0)
        if isinstance(record, Frame):
            found.append(record)
    return found


def problem_of(server: SnapshotServer, behaviour: str, **options: object) -> Problem:
    server.behaviour = behaviour
    with open_camera(server.url, **options) as source, pytest.raises(Problem) as caught:
        while True:
            source.read(1.0)
    return caught.value


def test_pictures_come_at_their_pace_and_are_kept_as_they_came() -> None:
    with SnapshotServer() as server, open_camera(server.url, every_s=0.2) as source:
        before_us = CLOCK.boot_us()
        frames = frames_of(source, 4)
        after_us = CLOCK.boot_us()
    assert [frame.encoded for frame in frames] == server.pictures[:4]
    for frame in frames:
        assert np.array_equal(frame.pixels, cv2.imdecode(np.frombuffer(frame.encoded, np.uint8), cv2.IMREAD_COLOR))  # type: ignore[arg-type]
    times = [frame.at_us for frame in frames]
    assert [before_us, *times, after_us] == sorted([before_us, *times, after_us])
    assert times[-1] - times[0] >= 550_000


def test_a_read_waits_no_longer_than_it_is_told() -> None:
    with SnapshotServer() as server, open_camera(server.url, every_s=3600.0, stall_s=600.0) as source:
        frames_of(source, 1)
        before_us = CLOCK.boot_us()
        assert source.read(0.05) is None
        assert CLOCK.boot_us() - before_us < 5_000_000


@pytest.mark.parametrize(("scheme", "qop"), [("Basic", True), ("Digest", True), ("Digest", False)])
def test_user_and_password(
    scheme: str, qop: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    right = {"user": "viewer", "password": Secret(PASSWORD)}
    with SnapshotServer("viewer", PASSWORD, scheme, qop=qop) as server:
        with open_camera(server.url, **right) as source:
            frames_of(source, 2)
        assert server.asked[:4] == [401, 200, 401, 200]
        wrong = problem_of(server, "new", user="viewer", password=Secret("geheim, aber falsch"))
        missing = problem_of(server, "new")
        server.url = server.url.replace("picture", "other")
        elsewhere = problem_of(server, "new", **right) if scheme == "Basic" else None
    assert "refuses the user or the password" in wrong.what
    assert "wants a user and a password" in missing.what
    assert elsewhere is None or "nothing at this path" in elsewhere.what
    told = "".join(capfd.readouterr()) + caplog.text + "".join(map(repr, (wrong, missing, elsewhere)))
    assert "geheim" not in told


def test_a_camera_that_is_stuck_in_a_picture_is_a_stall_and_gives_it_once() -> None:
    with SnapshotServer() as server, open_camera(server.url, every_s=0.1, stall_s=1.0) as source:
        frames = frames_of(source, 2)
        server.behaviour = "stuck"
        with pytest.raises(Stalled, match="the same picture for 1 s"):
            while True:
                frames.extend(filter(None, [source.read(1.0)]))  # type: ignore[arg-type]
        assert source.refused >= 5  # type: ignore[attr-defined]
    assert len({frame.encoded for frame in frames}) == len(frames)


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ("page", Problem, "no JPEG"),
        ("cut", Problem, "breaks off"),
        ("huge", Problem, "breaks off"),
        ("drip", Stalled, "did not answer in 0.5 s"),
        ("silent", Stalled, "did not answer in 0.5 s"),
        ("moved", Problem, "the camera answers 302"),
    ],
)
def test_what_is_no_picture_is_a_problem(behaviour: str, kind: type[Problem], words: str) -> None:
    with SnapshotServer() as server:
        found = problem_of(server, behaviour, stall_s=0.5 if kind is Stalled else 10.0)
    assert type(found) is kind
    assert words in found.what
    assert found.where == f"{WHERE}.url"
    assert found.remedy


def test_a_camera_that_is_off() -> None:
    with SnapshotServer() as server:
        pass
    assert "refuses port" in problem_of(server, "new").what


def test_https_is_for_who_is_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "authority")
    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
    with HttpsServer(*authority.issue("camera", names=["IP:127.0.0.1"])) as server:
        server.files["/picture.jpg"] = picture
        url = server.url("/picture.jpg")
        with open_camera(url) as source, pytest.raises(Problem, match="of nobody whom this device trusts"):
            source.read(1.0)
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))  # as update-ca-certificates would
        with open_camera(url) as source:
            (frame,) = frames_of(source, 1)
    assert frame.encoded == picture


def test_what_is_polled() -> None:
    assert camera.form("http://h/picture.jpg", 1.0) == "snapshot"
    assert camera.form("http://h/video") == "stream"
    assert camera.form("rtsp://h/x", 1.0) == "stream"
