"""A sensor on a serial port, through `firmware_bridge`. Gives the port's reads and writes; `Unpack` makes chunks of samples of them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.problems import Problem
from agent.records import Gap, Input, Read, SampleChunk, Write
from agent.values import RelativePath
from firmware_bridge import packets
from firmware_bridge.description import Description
from firmware_bridge.errors import LinkError
from firmware_bridge.framing import Receiver
from firmware_bridge.link import Chunk, Losses, Session
from firmware_bridge.ports import Port, open_port
from firmware_bridge.requests import Requests

_GARBAGE_US = 2_000_000
_LONGEST_NAP_S = 0.005
_SHORTEST_NAP_S = 0.001
_KERNEL_INPUT_BYTES = 4095


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    driver: Annotated[
        Literal["link"], Meta(description="How the device talks: `link` is the protocol of docs/serial-protocol.md.")
    ] = "link"
    port: Annotated[
        RelativePath, Meta(description="The port; a name in /dev/serial/by-id stays the same over replugging.")
    ]
    baud: Annotated[int, Meta(ge=300, le=12_000_000, description="Bits a second.")] = 921_600
    stream: Annotated[str | None, Meta(description="Which stream of the device; left out: its first.")] = None
    stall_s: Annotated[
        float, Meta(gt=0, le=600, description="No sample for this long: the lane is blind, the port is opened anew.")
    ] = 3.0


class Source:
    """An open port, of the capture thread."""

    def __init__(self, port: Port, config: Config, clock: Clock, stop: threading.Event, where: str) -> None:
        self._port = port
        self._config = config
        self._clock = clock
        self._stop = stop
        self._where = where
        self._requests = Requests(str(config.port))
        self._receiver = Receiver()
        self._opened_us = self._sample_us = clock.boot_us()
        self._bytes = 0
        self._described = False
        self._nap_s = 0.0
        self.useful = False  # until samples have come

    def read(self, timeout_s: float) -> Read | Write | None:
        """One Write or one Read; None when nothing came in time or in time for the next request. Problem when the port died or stays silent."""
        with _problems(self._where):
            self._nap()
            request = self._requests.due(self._clock.boot_ns())
            if request is not None:
                at_us = self._clock.boot_us()
                self._port.write(request)
                return Write(at_us=at_us, data=request)
            wait_s = min(timeout_s, self._requests.wait_ns(self._clock.boot_ns()) / 1e9)
            data = self._port.read(wait_s)
            at_us = self._clock.boot_us()
            if data:
                self._take(at_us, data)
            self._judge(at_us)
            return Read(at_us=at_us, data=data) if data else None

    def _take(self, at_us: int, data: bytes) -> None:
        self._bytes += len(data)
        arrived = self._receiver.feed(data)
        self._requests.take(arrived, at_us * 1000)
        if self._requests.description is not None:
            self._check_stream(self._requests.description)
            if any(packet.type == packets.SAMPLES for packet in arrived):
                self._sample_us, self.useful = at_us, True
        # A nap saves wake-ups; it may never be so long that the kernel's 4 kB of input fill up.
        bytes_a_second = self._bytes / max(1.0, (at_us - self._opened_us) / 1e6)
        nap_s = min(_LONGEST_NAP_S, _KERNEL_INPUT_BYTES / (4 * bytes_a_second))
        self._nap_s = nap_s if nap_s >= _SHORTEST_NAP_S else 0.0

    def _nap(self) -> None:
        # A late look at a clock answer would be a longer round trip: none while one is due.
        if self._nap_s and not self._requests.awaiting_clock:
            self._clock.wait(self._stop, self._nap_s)
        self._nap_s = 0.0

    def _check_stream(self, description: Description) -> None:
        if self._described:
            return
        self._described = True
        names = [stream.name for stream in description.streams]
        if self._config.stream not in (None, *names) or not names:
            raise Problem(
                where=f"{self._where}.stream",
                what=f"the device has no stream {self._config.stream or ''}".rstrip(),
                remedy=f"It has {', '.join(names) or 'none'}",
            )

    def _judge(self, at_us: int) -> None:
        """Problem when the device has been silent for too long, by what was heard of it."""
        if self._bytes and not self._receiver.good and at_us - self._opened_us > _GARBAGE_US:
            raise Problem(
                where=self._where,
                what=f"{self._config.port} sends bytes, but no frame of the link in {_GARBAGE_US // 1_000_000} s",
                remedy=f"Is {self._config.baud} the firmware's baud, and does it speak docs/serial-protocol.md?",
            )
        if at_us - self._sample_us <= self._config.stall_s * 1e6:
            return
        silent = f"{self._config.port}: no sample for {self._config.stall_s:g} s"
        if not self._bytes:
            what, remedy = f"{silent}, not one byte", "Check the device's power, cable and baud"
        elif self._requests.description is None:
            what, remedy = (
                f"{silent}: the device does not answer",
                "Check the line from host to device (its receive pin)",
            )
        else:
            what, remedy = silent, "Check the device; it is there but sends none"
        raise Problem(where=self._where, what=what, remedy=remedy)


class Unpack:
    """Chunks of samples of what was read and written, on the lane's thread: a pure function of the records."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session = Session()

    @property
    def losses(self) -> Losses:
        """Samples that never came, by cause."""
        return self._session.losses

    @property
    def synchronised(self) -> bool:
        """Whether samples have times of the device's own clock; before, they are times of arrival."""
        return self._session.synchronised

    def take(self, record: Input) -> list[SampleChunk | Gap]:
        """A Gap goes through; so does one where a device or port began anew."""
        if isinstance(record, Gap):
            return [record]
        if isinstance(record, Write):
            self._session.wrote(record.at_us * 1000, record.data)
            return []
        assert isinstance(record, Read)
        records: list[SampleChunk | Gap] = []
        for chunk in self._session.read(record.at_us * 1000, record.data):
            if self._wanted(chunk):
                sample_chunk = _scaled(chunk)
                if chunk.restarted:
                    records.append(Gap(at_us=sample_chunk.at_us, why="samples"))
                records.append(sample_chunk)
        return records

    def _wanted(self, chunk: Chunk) -> bool:
        description = self._session.description
        name = self._config.stream or (description.streams[0].name if description else chunk.stream.name)
        return chunk.stream.name == name


def _scaled(chunk: Chunk) -> SampleChunk:
    import numpy as np

    stream = chunk.stream
    samples = np.frombuffer(chunk.data, "<i2").reshape(-1, stream.axes).astype(np.float32) * np.float32(stream.scale)
    return SampleChunk(
        at_us=round(chunk.at_ns / 1000),
        stream=stream.name,
        period_us=1e6 / stream.rate_hz,
        unit=stream.unit,
        samples=samples,
        lost=chunk.lost,
    )


@contextmanager
def _problems(where: str) -> Iterator[None]:
    """A LinkError of the bridge as a Problem."""
    try:
        yield
    except LinkError as error:
        raise Problem(where=where, what=f"{error.where}: {error.what}", remedy=error.remedy) from error


def every_record(_config: Config) -> bool:
    """A lost read is lost samples: nothing is replaced."""
    return True


@contextmanager
def open_source(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """Opens the port. Problem when it is absent, busy or not permitted."""
    with ExitStack() as stack:
        with _problems(where):
            port = stack.enter_context(open_port(str(config.port), config.baud))
        yield Source(port, config, clock, stop, where)


def open_unpack(config: Config) -> Unpack:
    return Unpack(config)
