"""Kind rtsp against GStreamer's RTSP server with H.264, in a process that is killed, frozen, restarted; and against JPEG over RTP."""

import logging
import os
import random
import socket
import threading
from itertools import pairwise
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
from peers import rtsp_server
from peers.agents import wait_for
from peers.certificates import Authority
from peers.h264_clip import write_h264
from peers.h264_server import H264Server, made_ms, needs_gstreamer, number_of
from peers.reading import is_frame, is_gap, read_until
from peers.rtsp_server import RtspServer
from peers.tls_front import TlsFront

from agent.clock import SystemClock
from agent.pipeline.live import Live
from agent.problems import Problem
from agent.records import Frame, Gap, Input, Tick
from agent.sources import Stalled, _rtsp_stream, rtsp
from agent.sources._address import with_credentials
from agent.sources._planes import i420
from agent.sources._stream_time import StreamTime
from agent.sources.reopening import Reopening
from agent.values import RelativePath, Secret

WHERE = "lane.yard.source"
PASSWORD = "p@ss:w/rd?#geheim"
LIMIT_S = 20.0
CLOCK = SystemClock()


def open_rtsp(url: str, **options: object):
    return rtsp.open_source(rtsp.Config(url=url, **options), CLOCK, threading.Event(), WHERE)  # type: ignore[arg-type]


def problem_of(url: str, **options: object) -> Problem:
    with pytest.raises(Problem) as caught, open_rtsp(url, **options):
        pass
    return caught.value


def reopening(url: str, **options: object) -> Reopening:
    stop = threading.Event()
    return Reopening(
        lambda: rtsp.open_source(rtsp.Config(url=url, **options), CLOCK, stop, WHERE),  # type: ignore[arg-type]
        clock=CLOCK,
        stop=stop,
        rng=random.Random(1),
    )


def frames_of(source: rtsp.Source, count: int) -> list[Frame]:
    found: list[Frame] = []
    while len(found) < count:
        record = source.read(1.0)
        if isinstance(record, Frame):
            found.append(record)
    return found


@needs_gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_are_planes_in_order_and_dated_when_they_were_taken(transport: str) -> None:
    with H264Server() as server, open_rtsp(server.url, transport=transport) as source:
        frames = frames_of(source, 20)
        after_us = CLOCK.boot_us()
    numbers = [number_of(frame) for frame in frames]
    assert numbers == list(range(numbers[0], numbers[0] + 20))
    for frame in frames:
        assert frame.bgr is None
        assert frame.i420 is not None
        assert (frame.i420.shape, frame.i420.dtype) == ((360, 320), np.uint8)
        assert frame.pixels.shape == (240, 320, 3)
    times = [frame.at_us for frame in frames]
    assert times == sorted(times)
    assert times[-1] <= after_us
    # A picture's time is that of its making, not of its decoding a picture later; most of them, for the machine may be busy.
    late_ms = [(frame.at_us // 1000 - made_ms(frame)) % 65536 for frame in frames]
    assert sorted(late_ms)[len(late_ms) // 2] < 30, late_ms


@needs_gstreamer
def test_the_first_frame_is_not_what_piled_up_while_opening() -> None:
    with H264Server() as server, open_rtsp(server.url) as source:
        (first,) = frames_of(source, 1)
        age_ms = (CLOCK.boot_us() // 1000 - made_ms(first)) % 65536
    assert number_of(first) > 0, "the first of all waited while the stream was probed"
    assert age_ms < 1000


@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2"])
def test_pictures_of_full_range_become_planes_of_video_range(sampling: str) -> None:
    with RtspServer(sampling=sampling) as server, open_rtsp(server.url) as source:
        frames = frames_of(source, 12)
        numbers = [rtsp_server.number_of(frame.pixels) for frame in frames]
    assert numbers == [(numbers[0] + count) % rtsp_server.LEVELS for count in range(12)]


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuvj422p", "yuv444p", "nv12", "gray"])
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_every_pixel_format_gives_the_same_picture(name: str, size: tuple[int, int]) -> None:
    colour = (140, 140, 140) if name == "gray" else (40, 120, 220)
    pixels = np.full((size[1], size[0], 3), colour, np.uint8)
    planes = i420(av.VideoFrame.from_ndarray(pixels, format="bgr24").reformat(format=name))
    assert planes.shape == (size[1] // 2 * 3, size[0] & ~1)
    found = Frame(at_us=1, i420=planes).pixels[20, 20].astype(int)
    assert np.abs(found - colour).max() <= 4, found


@needs_gstreamer
@pytest.mark.parametrize("basic", [False, True])
def test_what_is_wrong_is_told_apart_and_no_text_holds_the_password(
    basic: bool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    right = {"user": "viewer", "password": Secret(PASSWORD)}
    with H264Server(user="viewer", password=PASSWORD, basic=basic) as server:
        with open_rtsp(server.url, **right) as source:
            frames_of(source, 2)
        wrong = problem_of(server.url, user="viewer", password=Secret("geheim, aber falsch"))
        missing = problem_of(server.url)
        elsewhere = problem_of(server.url.replace("/stream1", "/stream9"), **right)
        with reopening(server.url, **right) as again:
            read_until(again, is_frame)
            server.kill()
            read_until(again, is_gap)
            died = again.problem
        refused = problem_of(server.url, **right)
    nowhere = problem_of("rtsp://camera.invalid/stream1", **right)
    no_route = problem_of("rtsp://255.255.255.255/stream1", **right)
    other = not_rtsp(right)
    assert "refuses the user or the password" in wrong.what
    assert "password_file" in wrong.remedy
    assert "wants a user and a password" in missing.what
    assert "nothing at this path" in elsewhere.what
    assert "manual" in elsewhere.remedy
    assert "refuses port" in refused.what
    assert "no host camera.invalid" in nowhere.what
    assert "network" in no_route.remedy
    assert "does not speak RTSP" in other.what
    assert "554" in other.remedy
    found = [wrong, missing, elsewhere, died, refused, nowhere, no_route, other]
    assert all(problem.where == f"{WHERE}.url" for problem in found if problem is not None)
    assert len({str(problem) for problem in found}) == len(found)
    told = "".join(capfd.readouterr()) + caplog.text + "".join(map(str, found)) + "".join(map(repr, found))
    for secret in ("geheim", with_credentials("http://h/", "viewer", Secret(PASSWORD)).split("@")[0][-12:]):
        assert secret not in told


def not_rtsp(options: dict[str, object]) -> Problem:
    """A mail server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(8.0)

        def answer() -> None:
            for _ in range(3):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"220 mail.example.com ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        found = problem_of(f"rtsp://127.0.0.1:{listener.getsockname()[1]}/stream1", **options)
    thread.join(LIMIT_S)
    return found


@needs_gstreamer
def test_an_encrypted_camera_and_who_vouches_for_it(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    certificate = ours.issue("camera", names=["IP:127.0.0.1"])
    right = {"user": "viewer", "password": Secret(PASSWORD)}
    with H264Server(user="viewer", password=PASSWORD) as server, TlsFront(server.port, *certificate) as front:
        url = f"rtsps://127.0.0.1:{front.port}/stream1"
        for options in ({}, {"ca_file": ours.file}):
            with open_rtsp(url, **right, **options) as source:
                numbers = [number_of(frame) for frame in frames_of(source, 5)]
            assert numbers == list(range(numbers[0], numbers[0] + 5))
        stranger = problem_of(url, **right, ca_file=other.file)
        wrong = problem_of(url, user="viewer", password=Secret("geheim, aber falsch"))
        elsewhere = problem_of(url.replace("stream1", "stream9"), **right)
        plain = problem_of(url.replace(str(front.port), str(server.port)), **right)
    assert "no encrypted connection" in stranger.what
    assert "ca_file" in stranger.remedy
    assert "refuses the user or the password" in wrong.what
    assert "nothing at this path" in elsewhere.what
    assert "no encrypted connection" in plain.what
    for problem in (stranger, wrong, elsewhere, plain):
        assert "geheim" not in repr(problem)


@needs_gstreamer
def test_a_large_stream_is_told_once_with_what_costs_less(caplog: pytest.LogCaptureFixture) -> None:
    with H264Server(width=1296, height=736) as server:
        for _ in range(2):
            with open_rtsp(server.url) as source:
                frames_of(source, 1)
    assert caplog.text.count("second stream costs a fraction") == 1
    assert "size=1296x736" in caplog.text


@needs_gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_that_dies_and_comes_back(transport: str) -> None:
    with H264Server() as server, reopening(server.url, transport=transport) as source:
        read_until(source, is_frame)
        server.kill()
        records = read_until(source, is_gap)
        assert [record.why for record in records if isinstance(record, Gap)] == ["lost"]
        assert not source.open
        with H264Server(port=server.port) as again:
            *between, frame = read_until(source, is_frame)
            assert between == []
            assert source.problem is None
            assert isinstance(frame, Frame)
            # Its stamps began anew: the time did not.
            assert (frame.at_us // 1000 - made_ms(frame)) % 65536 < 1000
            assert again.streams == 1


@needs_gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_frozen_camera_is_a_stall_within_5_s_and_nothing_old_is_given(transport: str) -> None:
    with H264Server() as server, open_rtsp(server.url, transport=transport) as source:
        frames = frames_of(source, 5)
        server.freeze()
        frozen_us = CLOCK.boot_us()
        with pytest.raises(Stalled, match="gave no frame for 4 s"):
            while True:
                frames += frames_of(source, 1)
        seen_s = (CLOCK.boot_us() - frozen_us) / 1e6
        with pytest.raises(Problem):  # nor afterwards
            frames_of(source, 1)
    assert seen_s <= 5.0
    numbers = [number_of(frame) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert all((frame.at_us // 1000 - made_ms(frame)) % 65536 < 1000 for frame in frames), "dated as if new"


@needs_gstreamer
def test_what_a_camera_held_up_has_its_own_time() -> None:
    """Frozen for less than a stall: what it sends then is as old as it is."""
    with H264Server() as server, open_rtsp(server.url) as source:
        frames = frames_of(source, 10)
        server.freeze()
        threading.Event().wait(1.0)
        server.thaw()
        frames += frames_of(source, 30)
    late_ms = [(frame.at_us // 1000 - made_ms(frame)) % 65536 for frame in frames]
    assert max(late_ms) < 700, late_ms


@needs_gstreamer
def test_a_slow_camera_is_read() -> None:
    """One picture a second, a keyframe every 25: the first keyframe is not lost while the stream is opened."""
    with H264Server(rate_hz=1.0) as server, open_rtsp(server.url) as source:
        numbers = [number_of(frame) for frame in frames_of(source, 3)]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert numbers[0] < 10


@needs_gstreamer
def test_a_flood_is_drained_and_a_slow_lane_gets_the_newest() -> None:
    """120 pictures a second, of which the lane takes three; each is counted once."""
    stop, frames, dropped = threading.Event(), list[tuple[Frame, int]](), 0
    live = Live(CLOCK, stop, stall_s=4.0, every_record=False)
    with H264Server(rate_hz=120.0, group=120) as server, reopening(server.url) as source:
        thread = threading.Thread(target=live.capture, args=(source,))
        thread.start()
        for record in live.records(lambda: False):
            if isinstance(record, Frame):
                frames.append((record, (CLOCK.boot_us() // 1000 - made_ms(record)) % 65536))
                if len(frames) == 3:
                    before_bytes = resident_bytes()
                if len(frames) == 15:
                    grown_bytes = resident_bytes() - before_bytes
                    stop.set()
                else:
                    stop.wait(0.3)
            elif isinstance(record, Tick):
                dropped += record.dropped
        thread.join(LIMIT_S)
        first, last = (number_of(frames[place][0]) for place in (0, -1))
        assert source.refused == 0
    # Some came before the first and after the last; on a busy machine the server leaves out some before it encodes them.
    assert 0.5 * (last - first + 1) <= len(frames) + dropped <= last - first + 1 + 30
    assert dropped >= 100
    assert sorted(age_ms for _, age_ms in frames)[7] < 300, "the newest, not the oldest"
    assert grown_bytes < 20e6


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@needs_gstreamer
def test_a_camera_that_was_restarted_is_read_again_and_its_records_say_so() -> None:
    """Frozen for longer than a stall, then killed, then there again at the same port."""
    with H264Server() as server, reopening(server.url, stall_s=1.0) as source:
        records = read_until(source, is_frame)
        server.freeze()
        records += read_until(source, is_gap)
        server.kill()
        with H264Server(port=server.port):
            records += read_until(source, is_frame)
    assert [record.why for record in records if isinstance(record, Gap)] == ["stall"]
    assert isinstance(records[-1], Frame)
    times = [record.at_us for record in records]
    assert times == sorted(times)


@needs_gstreamer
def test_damaged_pictures_are_counted_and_not_handed_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clip = write_h264(tmp_path / "damaged.mp4", frames=150, damaged_every=7)
    found = 0
    with H264Server(file=clip) as server, open_rtsp(server.url) as source:
        with pytest.raises(Problem, match="no more frames"):
            while True:
                found += source.read(1.0) is not None
        refused = source.refused
    assert 10 <= refused <= 100
    assert found >= 40
    assert caplog.text.count("damaged pictures come") == 1


@needs_gstreamer
def test_h265(tmp_path: Path) -> None:
    clip = write_h264(tmp_path / "clip-h265.mp4", frames=75, encoder="libx265")
    with H264Server(file=clip) as server, open_rtsp(server.url) as source:
        frames = frames_of(source, 20)
        assert source.refused == 0
    steps = np.diff([frame.at_us for frame in frames])
    assert np.median(steps) == pytest.approx(40_000, abs=1_000)
    for frame in frames:
        assert frame.luma is not None
        assert (frame.luma[25:55] > 180).any(axis=0).sum() == pytest.approx(40, abs=4), "the square"


@needs_gstreamer
def test_a_stream_of_nothing_but_damage_is_a_stall(tmp_path: Path) -> None:
    clip = write_h264(tmp_path / "damaged.mp4", frames=150, damaged_every=1)
    with H264Server(file=clip) as server, open_rtsp(server.url, stall_s=1.0) as source:
        with pytest.raises(Stalled, match="gave only damaged pictures for 1 s"):
            while True:
                source.read(0.2)
        assert source.refused >= 15


@needs_gstreamer
def test_quiet_decodes_keyframes_alone_and_afterwards_every_picture_is_whole() -> None:
    """A keyframe a second."""
    with H264Server(moving=True) as server, open_rtsp(server.url, idle_decode="keyframes") as source:
        first = frames_of(source, 3)
        source.quiet(True)
        still = frames_of(source, 3)
        source.quiet(False)
        after = frames_of(source, 25)
        assert source.refused == 0
    # On a busy machine the server leaves out pictures before it encodes them: numbers may have gaps, a group is 25 encoded ones.
    assert min(later - earlier for earlier, later in pairwise(map(number_of, still))) >= 25, "keyframes"
    numbers = [number_of(frame) for frame in after]
    steps = [later - earlier for earlier, later in pairwise(numbers)]
    assert min(steps) >= 1
    assert sorted(steps)[len(steps) // 2] == 1, "every picture"
    assert numbers[0] - number_of(still[-1]) < 25, "nobody waited for the next keyframe"
    for frame in (*first, *after):
        left, top = number_of(frame) * 4 % 280, number_of(frame) * 2 % 168
        assert frame.luma is not None
        assert frame.luma[32 + top + 8 : 32 + top + 32, left + 8 : left + 32].mean() > 200, "the square is where it was"


@needs_gstreamer
def test_a_camera_with_hardly_any_keyframe_is_not_waited_for_when_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in 3,000 pictures, so that what is kept comes to its limit."""
    monkeypatch.setattr(_rtsp_stream, "_KEPT_US", 500_000)
    with H264Server(moving=True, group=3000) as server, open_rtsp(server.url, idle_decode="keyframes") as source:
        frames_of(source, 2)
        source.quiet(True)
        numbers = [number_of(frame) for frame in frames_of(source, 4)]
        source.quiet(False)
        after = [number_of(frame) for frame in frames_of(source, 5)]
        assert source.refused == 0
    assert all(10 <= next_ - before <= 20 for before, next_ in pairwise(numbers[1:])), numbers
    assert after == list(range(after[0], after[0] + 5))


@needs_gstreamer
def test_a_stream_that_is_too_large_is_refused() -> None:
    with H264Server() as server:
        found = problem_of(server.url, max_pixels=320 * 239)
        assert "320x240, 76800 pixels: more than max_pixels = 76480" in found.what
        assert "smaller stream" in found.remedy
        with open_rtsp(server.url, max_pixels=320 * 240) as source:
            frames_of(source, 1)


@needs_gstreamer
def test_it_may_be_closed_while_it_is_read() -> None:
    with H264Server() as server:
        opened = open_rtsp(server.url, stall_s=1.0)
        source = opened.__enter__()
        ended: list[str] = []

        def read() -> None:
            try:
                while True:
                    source.read(0.1)
            except Problem as problem:
                ended.append(problem.what)

        thread = threading.Thread(target=read)
        thread.start()
        server.freeze()
        opened.__exit__(None, None, None)
        thread.join(LIMIT_S)
    assert len(ended) == 1


@needs_gstreamer
def test_options_are_ffmpeg_s_own_and_of_this_camera(tmp_path: Path) -> None:
    options = {"skip_loop_filter": "all", "buffer_size": "65536", "user_agent": "edge"}
    with H264Server() as server, open_rtsp(server.url, options=options) as source:
        frames_of(source, 2)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "rtsp://h/", "options": {"protocol_whitelist": "file"}}, rtsp.Config)


@needs_gstreamer
def test_without_pyav_it_comes_through_opencv_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    config = rtsp.Config(url="", options={"user_agent": "edge"}, idle_decode="keyframes")
    with H264Server() as server:
        config = msgspec.structs.replace(config, url=server.url)
        for _ in range(2):
            with rtsp.open_with(None, config, CLOCK, threading.Event(), "lane.once.source") as source:
                (frame,) = frames_of(source, 1)
                number_of(frame)
                assert frame.bgr is not None
        config = msgspec.structs.replace(config, ca_file=RelativePath("/etc/ssl/camera.pem"))
        with (
            pytest.raises(Problem, match="only PyAV checks"),
            rtsp.open_with(None, config, CLOCK, threading.Event(), "lane.once.source"),
        ):
            pass
    assert caplog.text.count("PyAV is not installed") == 1
    assert "unheeded=options,idle_decode" in caplog.text
    assert "edge-agent[rtsp]" in caplog.text


def test_stamps_smooth_what_the_network_does() -> None:
    time = StreamTime()
    taken = []
    for number in range(200):
        stamp_us, late_us = number * 40_000.0, (number * 7919) % 30_000
        at_us = 5_000_000 + number * 40_000 + late_us
        time.arrived(stamp_us, at_us)
        taken.append(time.of(stamp_us, at_us))
    steps = np.diff(taken[20:])
    assert np.all(np.abs(steps - 40_000) <= 2_000), "the distances are the camera's own"
    assert abs(taken[-1] - (5_000_000 + 199 * 40_000)) < 1_000


def test_stamps_that_begin_anew_or_are_missing() -> None:
    time = StreamTime()
    time.arrived(90_000_000, 100_000_000)
    assert time.of(90_000_000, 100_000_000) == 100_000_000
    time.arrived(0, 101_000_000)  # 91 s back
    assert time.of(0, 101_000_000) == 101_000_000
    time.arrived(500_000_000, 102_000_000)  # far ahead: nothing comes from the future
    assert time.of(500_000_000, 102_000_000) == 102_000_000
    assert time.of(None, 103_000_000) == 103_000_000
    assert time.of(400_000_000, 104_000_000) == 103_000_000, "never back"
    time.arrived(None, 105_000_000)
    assert StreamTime().of(5, 7_000) == 7_000


def test_a_clock_that_runs_apart_is_followed() -> None:
    """A camera whose clock is 0.02 % slow: after an hour it would be 0.7 s behind."""
    time = StreamTime()
    for second in range(3600):
        at_us = round(second * 1e6)
        time.arrived(second * 1e6 * 0.9998, at_us)
    assert abs(time.of(3599 * 1e6 * 0.9998, at_us) - at_us) < 2_000


@needs_gstreamer
def test_connections_leave_no_thread_and_no_descriptor() -> None:
    """Good ones, refused ones, and such that a password is wanted for."""

    def left() -> tuple[int, int]:
        return len([*Path("/proc/self/task").iterdir()]), len([*Path("/proc/self/fd").iterdir()])

    with H264Server() as server, H264Server(user="viewer", password="right") as closed:

        def connect() -> None:
            with open_rtsp(server.url, stall_s=20.0) as source:  # the machine may be busy: this is about what is left
                frames_of(source, 1)
            problem_of(closed.url)
            problem_of(server.url.replace("/stream1", "/stream9"))
            problem_of(server.url, max_pixels=256)

        connect()
        before = left()
        for _ in range(8):
            connect()
        assert left() == before
        wait_for(lambda: server.streams >= 9, LIMIT_S, "streams of their own")


@needs_gstreamer
@pytest.mark.parametrize("dead", ["frozen", "killed"])
def test_a_dead_camera_costs_a_live_one_no_picture(dead: str) -> None:
    """By count: every picture of the live one comes while the other is opened again and again."""
    stop, gaps = threading.Event(), list[Input]()
    with H264Server() as server, H264Server() as other, reopening(other.url, stall_s=1.0) as blind:
        (other.freeze if dead == "frozen" else other.kill)()

        def look() -> None:
            while not stop.is_set():
                gaps.extend(filter(None, [blind.read(0.2)]))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            wait_for(lambda: blind.problem is not None, LIMIT_S, "the dead one's problem")
            with open_rtsp(server.url) as source:
                numbers = [number_of(frame) for frame in frames_of(source, 75)]
        finally:
            stop.set()
            thread.join(LIMIT_S)
    assert numbers == list(range(numbers[0], numbers[0] + 75))
    assert [gap.why for gap in gaps if isinstance(gap, Gap)] == ["lost"]
