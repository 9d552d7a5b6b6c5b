"""Network cameras and devices: a real HTTP camera that dies, freezes, wants a password; devices that are not there."""

import logging
import random
import socket
import threading
from pathlib import Path

import cv2
import pytest
from peers.manual_clock import ManualClock
from peers.mjpeg_server import MjpegServer
from peers.reading import read_until

from agent.clock import SystemClock
from agent.problems import Problem
from agent.records import Frame, Gap
from agent.sources import Stalled, camera
from agent.sources._address import shown, with_credentials
from agent.sources._capture import differences
from agent.sources.reopening import Reopening
from agent.values import Secret

WHERE = "lane.yard.source"
PASSWORD = "p@ss:w/rd?#geheim"


def open_camera(url: str, **options: object):
    return camera.open_source(camera.Config(url=url, **options), SystemClock(), threading.Event(), WHERE)  # type: ignore[arg-type]


def problem_of(url: str, **options: object) -> Problem:
    with pytest.raises(Problem) as caught, open_camera(url, **options):
        pass
    return caught.value


def test_frames_are_dated_when_they_arrive() -> None:
    clock = SystemClock()
    with MjpegServer() as server, open_camera(server.url) as source:
        before_us = clock.boot_us()
        frames = [source.read(1.0) for _ in range(5)]
        after_us = clock.boot_us()
    assert all(isinstance(frame, Frame) for frame in frames)
    times = [frame.at_us for frame in frames if frame is not None]
    assert before_us <= times[0]
    assert times == sorted(times)
    assert times[-1] <= after_us


def test_a_camera_that_dies_is_a_problem_and_comes_back() -> None:
    """Killed in mid-run: one Gap, no exception; a new camera at the same port is found again."""
    stop = threading.Event()
    server = MjpegServer()
    settings = camera.Config(url=server.url)
    clock = SystemClock()
    with Reopening(
        lambda: camera.open_source(settings, clock, stop, WHERE), clock=clock, stop=stop, rng=random.Random(1)
    ) as source:
        with server:
            assert isinstance(source.read(1.0), Frame)
            assert source.open
            assert source.problem is None
            server.kill()
        gaps = read_until(source, lambda record: isinstance(record, Gap))
        assert gaps[-1].why in ("lost", "stall")
        assert not source.open
        with MjpegServer(port=server.port):
            records = read_until(source, lambda record: isinstance(record, Frame))
        assert not any(isinstance(record, Gap) for record in records)
        assert source.problem is None


def test_a_frozen_link_is_a_stall_and_its_old_frames_are_dropped() -> None:
    with MjpegServer() as server, open_camera(server.url, stall_s=0.7) as source:
        assert source.read(1.0) is not None
        server.freeze()
        with pytest.raises(Stalled, match="gave no new frame for"):
            for _ in range(50):  # what was on its way still comes
                source.read(1.0)


def test_user_and_password_are_handed_over() -> None:
    with (
        MjpegServer("viewer", PASSWORD) as server,
        open_camera(server.url, user="viewer", password=Secret(PASSWORD)) as source,
    ):
        assert isinstance(source.read(1.0), Frame)


def test_a_wrong_password_and_a_missing_one(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with MjpegServer("viewer", "right") as server:
        wrong = problem_of(server.url, user="viewer", password=Secret(PASSWORD))
        missing = problem_of(server.url)
        elsewhere = problem_of(server.url.replace("/video", "/other"), user="viewer", password=Secret("right"))
    assert "refuses the user or the password" in wrong.what
    assert "password_file" in wrong.remedy
    assert "wants a user and a password" in missing.what
    assert wrong.where == missing.where == f"{WHERE}.url"
    assert elsewhere.what
    told = "".join(capfd.readouterr()) + caplog.text + str(wrong) + str(missing) + str(elsewhere)
    for secret in (PASSWORD, "geheim", with_credentials("http://h/", "viewer", Secret(PASSWORD)).split("@")[0][-12:]):
        assert secret not in told


def test_no_such_host_port_or_path() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    assert f"refuses port {closed}" in problem_of(f"rtsp://127.0.0.1:{closed}/stream1").what
    assert "no host camera.invalid" in problem_of("rtsp://camera.invalid/stream1").what
    with MjpegServer() as server:
        assert "nothing at this path" in problem_of(server.url.replace("/video", "/other")).what
    assert "no camera's address" in problem_of("gopher://127.0.0.1/x").what
    assert "no camera's address" in problem_of("rtsp:///stream1").what


def test_an_rtsp_camera_that_wants_a_password() -> None:
    """A server of three lines: what it answers to DESCRIBE is all that tells."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        stop = threading.Event()

        def answer() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(1.0)
                    try:
                        while data := connection.recv(4096):
                            number = data.split(b"CSeq: ")[1].split(b"\r\n")[0]
                            connection.sendall(
                                b"RTSP/1.0 401 Unauthorized\r\nCSeq: "
                                + number
                                + b'\r\nWWW-Authenticate: Basic realm="c"\r\n\r\n'
                            )
                    except (OSError, IndexError):
                        continue

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            found = problem_of(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/stream1")
        finally:
            stop.set()
            thread.join(10.0)
    assert "wants a user and a password" in found.what


def test_something_else_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            for _ in range(3):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"220 mail.example.com ESMTP\r\n")

        listener.settimeout(8.0)
        thread = threading.Thread(target=answer)
        thread.start()
        found = problem_of(f"rtsp://127.0.0.1:{port}/stream1")
        listener.close()
        thread.join(10.0)
    assert "does not speak RTSP" in found.what
    assert "554" in found.remedy


def test_devices_that_are_not_there(tmp_path: Path) -> None:
    missing = problem_of("/dev/v4l/by-id/usb-none-video-index0")
    assert "no such file or directory" in missing.what
    assert "/dev/v4l/by-id" in missing.remedy
    null = problem_of("/dev/null")
    assert "gives no video" in null.what


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="this machine has no camera /dev/video0")
def test_a_real_device() -> None:
    with open_camera("/dev/video0", width=640, height=480) as source:
        assert isinstance(source.read(5.0), Frame)


def test_what_a_device_gives_otherwise_is_told() -> None:
    mjpg, yuyv = (int.from_bytes(text, "little") for text in (b"MJPG", b"YUYV"))
    asked = {"fourcc": mjpg, "width": 1920, "height": 1080, "rate_hz": 30.0}
    assert differences(asked, {"fourcc": mjpg, "width": 1920, "height": 1080, "rate_hz": 30.0}) == []
    assert differences(asked, {"fourcc": yuyv, "width": 640, "height": 1080, "rate_hz": 5.0}) == [
        "fourcc asked MJPG given YUYV",
        "width asked 1920 given 640",
        "rate_hz asked 30 given 5",
    ]


def test_addresses_are_shown_without_secrets() -> None:
    full = with_credentials("rtsp://10.0.0.7:554/stream1?x=1", "vie wer", Secret(PASSWORD))
    assert full == "rtsp://vie%20wer:p%40ss%3Aw%2Frd%3F%23geheim@10.0.0.7:554/stream1?x=1"
    assert shown(full) == "rtsp://10.0.0.7:554/stream1?x=1"
    assert shown("http://h/v.cgi?user=a&pwd=geheim&x=1") == "http://h/v.cgi?user=a&pwd=…&x=1"
    assert with_credentials("rtsp://h/x", None, None) == "rtsp://h/x"
    assert shown("/videos/a@b.avi") == "/videos/a@b.avi"


def test_a_read_that_lasted_too_long_is_stale_even_when_it_gives_a_frame() -> None:
    """OpenCV returns old frames after its timeout; the clock tells."""
    import numpy as np

    clock = ManualClock()

    class SlowCapture:
        def read(self) -> tuple[bool, np.ndarray]:
            clock.advance(3.0)
            return True, np.zeros((4, 4, 3), np.uint8)

    with pytest.raises(Stalled):
        camera.Camera(SlowCapture(), "c", 3.0, clock, WHERE).read(0.1)


@pytest.mark.parametrize(
    ("stamps", "given"),
    [
        ([0, 0, 40, 80, 120, *[120] * 20], 14),  # 10 times the same one, in 1 s, are a stall
        ([0, 0, 40, 80, *[80] * 9, 120, 160, *[160] * 9, 200], 25),  # shorter than that
        ([0] * 25, 25),  # a stream without stamps
        ([0, 40, 80, 0, 40, 80, 0, 40, 80, 120, 0, 40], 12),  # which begin anew
    ],
)
def test_frames_whose_stream_time_stands_still_are_a_stall(stamps: list[float], given: int) -> None:
    """As OpenCV gives them: POS_MSEC belongs to the frame that was read. Ten frames a second."""
    import numpy as np

    clock = ManualClock()

    class Repeating:
        def __init__(self) -> None:
            self.place = -1

        def read(self) -> tuple[bool, np.ndarray | None]:
            clock.advance(0.1)
            self.place += 1
            return self.place < len(stamps), np.zeros((4, 4, 3), np.uint8)

        def get(self, key: int) -> float:
            assert key == cv2.CAP_PROP_POS_MSEC
            return stamps[self.place]

    source, found = camera.Camera(Repeating(), "c", 1.0, clock, WHERE), 0  # type: ignore[arg-type]
    with pytest.raises(Problem) as caught:
        while True:
            found += source.read(0.1) is not None
    assert found == given
    assert isinstance(caught.value, Stalled) == (given < len(stamps))
