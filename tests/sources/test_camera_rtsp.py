"""A real RTSP stream, JPEG in RTP over TCP: in order, fresh, with passwords; it ends, dies, freezes, and comes back."""

import logging
import os
import random
import threading

import pytest
from peers.agents import wait_for
from peers.reading import is_frame, is_gap, read_until
from peers.rtsp_server import LEVELS, RtspServer, number_of

from agent.clock import SystemClock
from agent.problems import Problem
from agent.records import Frame, Gap
from agent.sources import Stalled, _options, camera
from agent.sources._address import with_credentials
from agent.sources._capture import Capture, open_stream
from agent.sources._login import authorization
from agent.sources._reachable import no_video
from agent.sources.reopening import Reopening
from agent.values import Secret

WHERE = "lane.yard.source"
PASSWORD = "p@ss:w/rd?#geheim"
LIMIT_S = 10.0


def open_camera(url: str, **options: object):
    return camera.open_source(camera.Config(url=url, **options), SystemClock(), threading.Event(), WHERE)  # type: ignore[arg-type]


def problem_of(url: str, **options: object) -> Problem:
    with pytest.raises(Problem) as caught, open_camera(url, **options):
        pass
    return caught.value


def reopening(url: str, **options: object) -> Reopening:
    settings, clock, stop = camera.Config(url=url, **options), SystemClock(), threading.Event()  # type: ignore[arg-type]
    return Reopening(
        lambda: camera.open_source(settings, clock, stop, WHERE), clock=clock, stop=stop, rng=random.Random(1)
    )


def check_in_order(numbers: list[int]) -> None:
    assert numbers == [(numbers[0] + count) % LEVELS for count in range(len(numbers))]


@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2"])
def test_frames_come_whole_in_order_and_dated_when_they_arrive(sampling: str) -> None:
    clock = SystemClock()
    with RtspServer(sampling=sampling) as server:
        with open_camera(server.url) as source:
            before_us = clock.boot_us()
            frames = [source.read(1.0) for _ in range(12)]
            after_us = clock.boot_us()
        wait_for(lambda: "TEARDOWN" in server.requests, LIMIT_S, "the end of the session")
    assert server.requests[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    check_in_order([number_of(frame.pixels) for frame in frames])
    assert frames[0].pixels.shape == (240, 320, 3)
    times = [before_us, *(frame.at_us for frame in frames), after_us]
    assert times == sorted(times)


def test_the_first_frame_is_not_what_piled_up_while_opening() -> None:
    """The library takes about 0.4 s to open, 20 frames of this camera; with its own defaults it would begin with the first of them."""
    with RtspServer() as server, open_camera(server.url) as source:
        sent = server.sent
        # Up to four frames may have been sent since we looked; up to ten may have waited.
        assert (sent + 1 + 4 - number_of(source.read(1.0).pixels)) % LEVELS <= 10 + 4


@pytest.mark.parametrize("schemes", [("Basic",), ("Digest",), ("Digest", "Basic")], ids="+".join)
def test_user_and_password(
    schemes: tuple[str, ...], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    right = {"user": "viewer", "password": Secret(PASSWORD)}
    with RtspServer(user="viewer", password=PASSWORD, schemes=schemes) as server:
        with open_camera(server.url, **right) as source:
            check_in_order([number_of(source.read(1.0).pixels) for _ in range(3)])
        answered = list(server.requests)
        wrong = problem_of(server.url, user="viewer", password=Secret("geheim,aber falsch"))
        missing = problem_of(server.url)
        elsewhere = problem_of(server.url.replace("/stream1", "/stream9"), **right)
    assert answered[:4] == ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"]
    assert wrong.where == missing.where == elsewhere.where == f"{WHERE}.url"
    assert "refuses the user or the password" in wrong.what
    assert "password_file" in wrong.remedy
    assert "wants a user and a password" in missing.what
    assert "nothing at this path" in elsewhere.what, "the password is right: the path is not"
    told = "".join(capfd.readouterr()) + caplog.text + "".join(map(str, (wrong, missing, elsewhere)))
    for secret in ("geheim", with_credentials("http://h/", "viewer", Secret(PASSWORD)).split("@")[0][-12:]):
        assert secret not in told


def test_a_path_that_is_not_there() -> None:
    with RtspServer() as server:
        found = problem_of(server.url.replace("/stream1", "/stream9"))
    assert "/stream9: the camera has nothing at this path" in found.what
    assert "manual" in found.remedy


def test_digests_are_those_of_the_standards() -> None:
    """The examples of RFC 2617 (3.5) and, as its errata have it, of RFC 2069."""
    nonce = 'realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'

    def answer(challenges: list[str], password: str) -> str | None:
        return authorization(challenges, "Mufasa", Secret(password), "GET", "/dir/index.html", client_nonce="0a4f113b")

    newer = answer([f'Digest {nonce}, qop="auth,auth-int"'], "Circle Of Life")
    assert newer is not None
    assert 'response="6629fae49393a05397450978507c4ef1"' in newer
    assert 'qop=auth, nc=00000001, cnonce="0a4f113b"' in newer
    older = answer(['Basic realm="x"', f"Digest {nonce}"], "CircleOfLife")
    assert older is not None
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in older
    assert "qop" not in older
    assert answer([f"Digest {nonce}, algorithm=SHA-256"], "x") is None
    assert answer([f"Digest {nonce}, algorithm=SHA-256", 'Basic realm="x"'], "x") == "Basic TXVmYXNhOng="


@pytest.mark.long
def test_a_session_is_kept_alive() -> None:
    """The camera ends sessions 2 s after the last request."""
    settings = {"user": "viewer", "password": PASSWORD}
    with (
        RtspServer(**settings, session_s=2) as server,
        open_camera(server.url, user="viewer", password=Secret(PASSWORD)) as source,
    ):
        numbers = [number_of(source.read(1.0).pixels) for _ in range(round(2.3 / server.period_s))]
        check_in_order(numbers)
        assert "GET_PARAMETER" in server.requests


def test_a_camera_that_dies_and_comes_back() -> None:
    with RtspServer() as server, reopening(server.url) as source:
        read_until(source, is_frame)
        server.kill()
        records = read_until(source, is_gap)
        assert [record.why for record in records if isinstance(record, Gap)] == ["lost"]
        assert not source.open
        assert "refuses port" in str(_next_problem(source))
        with RtspServer(port=server.port):
            assert not any(map(is_gap, read_until(source, is_frame)))
            assert source.problem is None


def _next_problem(source: Reopening) -> Problem:
    before = source.problem
    for _ in range(100):
        assert source.read(0.2) is None
        if source.problem is not None and source.problem is not before:
            return source.problem
    raise AssertionError(before)


def test_a_stream_that_ends_is_opened_anew() -> None:
    """A camera has no end: that of its stream is a fault that heals."""
    with RtspServer() as server, reopening(server.url) as source:
        read_until(source, is_frame)
        server.end()
        *_, gap = read_until(source, is_gap)
        assert isinstance(gap, Gap)
        assert gap.why == "lost"
        assert "gives no more frames" in str(source.problem)
        assert not any(map(is_gap, read_until(source, is_frame)))
        assert server.requests.count("PLAY") == 2


def test_a_camera_frozen_in_a_picture_is_a_stall_and_no_frame_is_given_twice() -> None:
    clock = SystemClock()
    with RtspServer() as server, open_camera(server.url, stall_s=0.5) as source:
        frames = [source.read(1.0) for _ in range(5)]
        server.freeze(halfway=True)
        with pytest.raises(Stalled, match=r"gave no new frame for 0\.5 s"):
            while True:
                frames.append(source.read(1.0))
        silent_us = clock.boot_us() - frames[-1].at_us
        with pytest.raises(Problem):  # nor afterwards
            frames.append(source.read(1.0))
        numbers = [number_of(frame.pixels) for frame in frames]
        check_in_order(numbers)
        assert numbers[-1] == server.sent % LEVELS, "all that went out whole, nothing else"
    assert 0.5e6 <= silent_us < 3e6


def test_a_stall_between_pictures_is_one_gap() -> None:
    with RtspServer() as server, reopening(server.url, stall_s=0.5) as source:
        records = read_until(source, is_frame)
        server.freeze()
        *frames, gap = records + read_until(source, is_gap)
        check_in_order([number_of(frame.pixels) for frame in frames if isinstance(frame, Frame)])
        assert isinstance(gap, Gap)
        assert gap.why == "stall"
        server.kill()
        with RtspServer(port=server.port):
            assert not any(map(is_gap, read_until(source, is_frame)))


def test_a_camera_that_takes_connections_and_says_nothing() -> None:
    with RtspServer() as server:
        server.freeze()
        found = no_video(server.url, user=None, password=None, where=WHERE, timeout_s=0.2)
    assert "takes connections, but does not answer" in found.what


def test_a_camera_that_does_not_answer_holds_up_no_other() -> None:
    with RtspServer() as dumb, RtspServer() as server:
        dumb.freeze()
        thread = threading.Thread(target=open_stream, args=(dumb.url, 1.0))
        thread.start()
        try:
            wait_for(lambda: dumb.connections, LIMIT_S, "the connection to the dumb one")
            with open_camera(server.url) as source:
                source.read(1.0)
            assert thread.is_alive(), "the dumb one still opens"
        finally:
            dumb.kill()
            thread.join(LIMIT_S)


def test_streams_have_options_that_files_do_not_have() -> None:
    opened = threading.Event()
    told: list[str | None] = []

    def open_file() -> None:
        with _options.for_file():
            told.append(os.environ.get(_options.VARIABLE))
        opened.set()

    thread = threading.Thread(target=open_file)
    with _options.for_stream():
        with _options.for_stream():
            pass
        assert "nobuffer" in os.environ[_options.VARIABLE], "another one still opens"
        thread.start()
        assert not opened.wait(0.1)
    assert opened.wait(LIMIT_S)
    thread.join(LIMIT_S)
    assert told == [None]
    assert _options.VARIABLE not in os.environ


def test_a_camera_may_be_closed_while_it_is_read() -> None:
    """A lane that breaks closes its source while the capture thread waits for a frozen camera: that must not end the process."""
    numbers: list[int] = []
    with RtspServer() as server:
        opened = open_camera(server.url, stall_s=1.0)
        source = opened.__enter__()

        def read() -> None:
            try:
                while True:
                    numbers.append(number_of(source.read(1.0).pixels))
            except Problem:
                numbers.append(-1)

        thread = threading.Thread(target=read)
        thread.start()
        wait_for(lambda: numbers, LIMIT_S, "a frame")
        server.freeze()
        wait_for(lambda: numbers[-1] == server.sent % LEVELS, LIMIT_S, "the last frame")
        opened.__exit__(None, None, None)
        assert numbers[-1] >= 0, "it still waits"
        thread.join(LIMIT_S)
    assert numbers[-1] == -1


class SlowCapture:
    """As OpenCV's, its read lasts until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.calls: list[str] = []

    def read(self) -> tuple[bool, None]:
        self.began.set()
        assert self.go.wait(LIMIT_S)
        self.calls.append("read")
        return False, None

    def release(self) -> None:
        self.calls.append("release")


def test_a_release_waits_for_the_read_and_holds_nobody() -> None:
    slow = SlowCapture()
    capture = Capture(slow)
    thread = threading.Thread(target=capture.read)
    thread.start()
    assert slow.began.wait(LIMIT_S)
    capture.release()  # returns
    assert slow.calls == []
    slow.go.set()
    thread.join(LIMIT_S)
    assert slow.calls == ["read", "release"]
    assert capture.read() == (False, None)
    assert slow.calls.count("read") == 1


@pytest.mark.long
def test_a_slow_camera_is_read_when_stall_s_allows_it() -> None:
    """A picture every 4 s: nothing but `stall_s` says how long to wait."""
    with RtspServer(rate_hz=0.25) as server, open_camera(server.url, stall_s=10.0) as source:
        check_in_order([number_of(source.read(1.0).pixels) for _ in range(3)])
