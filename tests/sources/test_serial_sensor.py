"""The serial sensor: reads and writes of a port, chunks of samples of them, and each way in which a port or device can be wrong."""

import os
import pty
import threading
import tty
from collections.abc import Iterator

import numpy as np
import pytest
from peers.link_device import LinkDevice
from peers.manual_clock import ManualClock

from agent.problems import Problem
from agent.records import Gap, Read, SampleChunk, Write
from agent.sources.serial_sensor import Config, Source, open_source, open_unpack
from agent.values import RelativePath

WHERE = "lane.pump.source"


class Line:
    """A pty with a simulated device at its other end; both in one thread, in simulated time."""

    def __init__(self) -> None:
        self.device_end, self._port = pty.openpty()
        tty.setraw(self._port)
        os.set_blocking(self.device_end, False)
        self.name = os.ttyname(self._port)
        self.clock = ManualClock(boot_us=1_000_000_000)
        self.device = LinkDevice()

    def hear(self) -> None:
        """The device takes what the host wrote."""
        try:
            self.device.receive(os.read(self.device_end, 4096))
        except BlockingIOError:
            pass

    def say(self, data: bytes) -> None:
        if data:
            os.write(self.device_end, data)

    def unplug(self) -> None:
        if self.device_end >= 0:
            os.close(self.device_end)
            self.device_end = -1

    def close(self) -> None:
        self.unplug()
        os.close(self._port)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def config(line: Line, **keys: object) -> Config:
    return Config(port=RelativePath(line.name), **keys)  # type: ignore[arg-type]


def run(line: Line, source: Source, seconds: float) -> list[Read | Write]:
    """20 ms a step: the device answers and sends a frame, the host reads what is there."""
    records: list[Read | Write] = []
    for _ in range(round(seconds / 0.02)):
        for frames in (0, 1):
            line.hear()
            line.say(line.device.transmit(frames))
            while (record := source.read(0.0)) is not None:
                records.append(record)
                line.hear()
                line.say(line.device.transmit())
        line.clock.advance(0.02)
    return records


def problem(line: Line, source: Source, seconds: float) -> Problem:
    with pytest.raises(Problem) as caught:
        run(line, source, seconds)
    return caught.value


def test_reads_and_writes_become_chunks_and_again_in_replay(line: Line) -> None:
    keys = config(line)
    with open_source(keys, line.clock, threading.Event(), WHERE) as source:
        records = run(line, source, 8)
    unpack = open_unpack(keys)
    gap, *chunks = [chunk for record in records for chunk in unpack.take(record)]
    assert isinstance(gap, Gap)
    assert all(isinstance(chunk, SampleChunk) for chunk in chunks)
    first = chunks[0]
    assert isinstance(first, SampleChunk)
    assert (first.stream, first.unit, first.period_us) == ("vibration", "m/s2", 1000.0)
    samples = np.concatenate([chunk.samples for chunk in chunks if isinstance(chunk, SampleChunk)])
    assert samples.dtype == np.float32
    assert len(samples) > 7_500
    # Scale 0.5: samples count up on the first axis, down on the second.
    assert (np.diff(samples[:, 0]) == 0.5).all()
    assert (samples[:, 1] == -samples[:, 0]).all()
    assert unpack.synchronised
    assert unpack.losses.device == unpack.losses.line == 0

    def printed(records: list[Read | Write]) -> list[object]:
        again = open_unpack(keys)
        return [
            (c.at_us, c.lost, c.samples.tobytes()) if isinstance(c, SampleChunk) else c
            for record in records
            for c in again.take(record)
        ]

    assert printed(records) == printed(records)
    assert len(printed(records)) == len(chunks) + 1


def test_a_lost_frame_is_in_the_next_chunk(line: Line) -> None:
    with open_source(config(line), line.clock, threading.Event(), WHERE) as source:
        records = run(line, source, 1)
        line.device.transmit(3)
        records += run(line, source, 0.2)
    unpack = open_unpack(config(line))
    chunks = [chunk for record in records for chunk in unpack.take(record)]
    assert [c.lost for c in chunks if isinstance(c, SampleChunk) and c.lost] == [60]
    assert unpack.losses.line == 60


def test_a_port_opened_anew_gives_a_gap_and_no_loss(line: Line) -> None:
    keys, unpack = config(line), open_unpack(config(line))
    records: list[Read | Write | Gap] = []
    for _ in range(2):
        with open_source(keys, line.clock, threading.Event(), WHERE) as source:
            records += run(line, source, 1)
        line.device.transmit(50)
        records.append(Gap(at_us=line.clock.boot_us(), why="unplugged"))
    made = [chunk for record in records for chunk in unpack.take(record)]
    assert [gap.why for gap in made if isinstance(gap, Gap)] == ["samples", "unplugged", "samples", "unplugged"]
    assert unpack.losses.line == 0


def test_absent_and_busy(line: Line) -> None:
    absent = Config(port=RelativePath("/dev/no-such-port"))
    with pytest.raises(Problem, match=r"lane.pump.source: /dev/no-such-port: there is no such port. Is the device"):
        open_source(absent, line.clock, threading.Event(), WHERE).__enter__()
    busy = pytest.raises(Problem, match="another program holds the port")
    with open_source(config(line), line.clock, threading.Event(), WHERE), busy:
        open_source(config(line), line.clock, threading.Event(), WHERE).__enter__()


def test_unplugged(line: Line) -> None:
    with open_source(config(line), line.clock, threading.Event(), WHERE) as source:
        run(line, source, 0.5)
        line.unplug()
        with pytest.raises(Problem, match="the device is gone: unplugged or without power"):
            source.read(1.0)


def test_garbage_on_the_line(line: Line) -> None:
    line.device.transmit = lambda frames=0: b"\x80\x00\xfe~garbage" * frames  # type: ignore[method-assign]
    with open_source(config(line, baud=9600), line.clock, threading.Event(), WHERE) as source:
        start_us = line.clock.boot_us()
        found = problem(line, source, 5)
        assert 2.0e6 < line.clock.boot_us() - start_us < 2.2e6
    assert "sends bytes, but no frame of the link in 2 s" in found.what
    assert found.remedy.startswith("Is 9600 the firmware's baud")


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ("silent", "no sample for 3 s, not one byte"),
        ("deaf", "the device does not answer"),
        ("idle", "no sample for 3 s"),
    ],
)
def test_a_device_without_samples(line: Line, wrong: str, what: str) -> None:
    transmit = line.device.transmit
    if wrong == "deaf":
        line.device.receive = lambda data: None  # type: ignore[method-assign]
    else:
        line.device.transmit = lambda frames=0: b"" if wrong == "silent" else transmit(0)  # type: ignore[method-assign]
    with open_source(config(line), line.clock, threading.Event(), WHERE) as source:
        assert what in problem(line, source, 10).what
    assert 3.0e6 < line.clock.boot_us() - 1_000_000_000 < 3.2e6


def test_another_version_and_an_unknown_stream(line: Line) -> None:
    with open_source(config(line, stream="speed"), line.clock, threading.Event(), WHERE) as source:
        found = problem(line, source, 1)
    assert str(found) == "lane.pump.source.stream: the device has no stream speed. It has vibration"
    line.device = LinkDevice(version=2)
    with open_source(config(line), line.clock, threading.Event(), WHERE) as source:
        assert "speaks version 2 of the link" in problem(line, source, 1).what
