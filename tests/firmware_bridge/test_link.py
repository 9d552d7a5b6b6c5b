"""Session: chunks, times and losses of what was read and written, over lines of every kind."""

import random
from collections.abc import Callable, Iterable

import pytest
from peers.link_device import PER_FRAME, LinkDevice

from firmware_bridge.framing import Packet, encode
from firmware_bridge.link import Chunk, Losses, Session
from firmware_bridge.requests import Requests

MS = 1_000_000
START_NS = 50_000 * MS
FRAME_NS = 20 * MS


class Rig:
    """A host and a device in simulated time. The device's clock reads (host time - boot_ns) exactly; a request takes 100 µs."""

    def __init__(
        self, device: LinkDevice | None = None, line: Callable[[list[bytes]], list[bytes]] | None = None
    ) -> None:
        self.device = device or LinkDevice()
        self.line = line or (lambda frames: frames)
        self.session = Session()
        self.requests = Requests()
        self.now_ns = START_NS
        self.boot_ns = START_NS - self.device.tick * 1000
        self.chunks: list[Chunk] = []
        self.log: list[tuple[str, int, bytes]] = []

    def connect(self) -> "Rig":
        """Until the device is described; the line is good meanwhile."""
        line, self.line = self.line, lambda frames: frames
        while self.requests.description is None:
            self.step(0)
        self.line = line
        return self

    def step(self, frames: int = 1) -> None:
        """20 ms: asks what is due, then reads so many frames."""
        request = self.requests.due(self.now_ns)
        if request is not None:
            self.log.append(("write", self.now_ns, request))
            self.session.wrote(self.now_ns, request)
            next_tick, self.device.tick = self.device.tick, (self.now_ns + 100_000 - self.boot_ns) // 1000
            self.device.receive(request)
            self.device.tick = next_tick
            self.hear(self.device.transmit_frames(), self.now_ns + 200_000)
        self.now_ns += FRAME_NS
        if frames == 0:
            self.device.tick += FRAME_NS // 1000
        self.hear(self.line(self.device.transmit_frames(frames)), self.now_ns)

    def hear(self, pieces: Iterable[bytes], at_ns: int) -> None:
        from firmware_bridge.framing import Receiver

        for data in pieces:
            self.log.append(("read", at_ns, data))
            self.chunks += self.session.read(at_ns, data)
            self.requests.take(Receiver().feed(data), at_ns)

    def numbers(self) -> list[int]:
        """The numbers of all samples that came."""
        return [int.from_bytes(c.data[6 * i : 6 * i + 2], "little") for c in self.chunks for i in range(c.count)]


def check_chunks(rig: Rig) -> None:
    """Whatever was lost: each chunk says exactly how many samples are missing before it, and all that it holds are right."""
    expected: int | None = None
    for chunk in rig.chunks:
        first = int.from_bytes(chunk.data[:2], "little")
        if expected is not None and not chunk.restarted:
            assert first == expected + chunk.lost
        numbers = [int.from_bytes(chunk.data[6 * i : 6 * i + 2], "little") for i in range(chunk.count)]
        assert numbers == list(range(first, first + chunk.count))
        expected = first + chunk.count


def whole(frames: list[bytes]) -> list[bytes]:
    return [b"".join(frames)] if frames else []


def bytewise(frames: list[bytes]) -> list[bytes]:
    return [bytes([byte]) for frame in frames for byte in frame]


class Losing:
    """Loses every fifth frame on average, whole."""

    def __init__(self) -> None:
        self.dice = random.Random(20)
        self.samples = 0

    def __call__(self, frames: list[bytes]) -> list[bytes]:
        kept = []
        for frame in frames:
            if len(frame) > 100 and self.dice.random() < 0.2:
                self.samples += PER_FRAME
            else:
                kept.append(frame)
        return kept


class Delaying:
    """Holds data back for up to ten reads, and gives it in one."""

    def __init__(self) -> None:
        self.dice = random.Random(21)
        self.held: list[bytes] = []

    def __call__(self, frames: list[bytes]) -> list[bytes]:
        self.held += frames
        if self.dice.random() < 0.7:
            return []
        held, self.held = self.held, []
        return whole(held)


class Flipping:
    """Flips one bit in 10,000, delimiters included."""

    def __init__(self) -> None:
        self.dice = random.Random(22)

    def __call__(self, frames: list[bytes]) -> list[bytes]:
        data = bytearray(b"".join(frames))
        for place in range(len(data) * 8):
            if self.dice.random() < 1e-4:
                data[place // 8] ^= 1 << place % 8
        return [bytes(data)] if data else []


@pytest.fixture(params=[whole, bytewise, Losing, Delaying, Flipping], ids=lambda line: line.__name__)
def line(request: pytest.FixtureRequest) -> Callable[[list[bytes]], list[bytes]]:
    return request.param() if isinstance(request.param, type) else request.param  # type: ignore[no-any-return]


def test_every_line_gives_what_came_and_counts_what_did_not(line: Callable[[list[bytes]], list[bytes]]) -> None:
    rig = Rig(line=line).connect()
    before = rig.device.sample
    rig.step()
    for _ in range(600):
        rig.step()
    rig.line = whole
    rig.step()  # the last frames come whole, so that every gap is closed
    check_chunks(rig)
    came = len(rig.numbers())
    assert rig.session.losses.device == 0
    # A frame lost before the first that came is in no gap.
    first_missing = rig.numbers()[0] - before
    held = sum(PER_FRAME for frame in getattr(line, "held", []) if len(frame) > 100)
    assert came + rig.session.losses.line == rig.device.sample - before - first_missing
    if line in (whole, bytewise) or isinstance(line, Delaying):
        assert rig.session.losses.line == held
    elif isinstance(line, Losing):
        assert rig.session.losses.line == line.samples - first_missing
        assert 1500 < line.samples < 3500
    else:
        assert rig.session.receiver.bad_crc + rig.session.receiver.bad_cobs > 20
        assert rig.session.losses.line > 20 * PER_FRAME


def test_a_replay_of_reads_and_writes_gives_the_same_chunks() -> None:
    rig = Rig(line=Flipping()).connect()
    for _ in range(400):
        rig.step()
    again, chunks = Session(), []
    for what, at_ns, data in rig.log:
        if what == "write":
            again.wrote(at_ns, data)
        else:
            chunks += again.read(at_ns, data)
    assert rig.chunks == chunks
    assert again.losses == rig.session.losses
    assert rig.chunks[-1].synchronised


def test_times_before_and_after_the_fit() -> None:
    rig = Rig().connect()
    for _ in range(350):
        rig.step()
    first, last = rig.chunks[0], rig.chunks[-1]
    assert not first.synchronised
    assert last.synchronised
    assert first.restarted
    assert not last.restarted
    assert last.count == PER_FRAME
    assert abs(last.at_ns - (last.tick * 1000 + rig.boot_ns)) < 5_000
    rig.device.tick += 3_000  # it ran ahead of the fit
    rig.step()
    assert rig.chunks[-1].at_ns == rig.now_ns - FRAME_NS, "a sample is never dated later than it came"
    # Before: arrival less duration.
    assert first.at_ns == START_NS + (rig.log[0][1] - START_NS) + FRAME_NS * round((first.at_ns - START_NS) / FRAME_NS)


def test_the_device_overrun_is_told_from_the_line() -> None:
    rig = Rig().connect()
    for _ in range(10):
        rig.step()
    rig.device.overrun(7)
    rig.step()
    rig.device.transmit_frames(3)  # the line eats these
    rig.step()
    rig.device.status()
    rig.step()
    check_chunks(rig)
    assert rig.session.losses == Losses(device=7 * PER_FRAME, line=3 * PER_FRAME)
    assert [chunk.lost for chunk in rig.chunks if chunk.lost] == [7 * PER_FRAME, 3 * PER_FRAME]


def test_sequence_numbers_and_ticks_wrap() -> None:
    device = LinkDevice(first_tick=(1 << 32) - 50_000)
    device.sequence = 65_530
    rig = Rig(device).connect()
    for _ in range(20):
        rig.step()
    assert rig.session.losses == Losses(device=0, line=0)
    assert rig.chunks[-1].tick > 1 << 32
    check_chunks(rig)


def test_more_frames_missing_than_a_number_can_tell() -> None:
    rig = Rig().connect()
    rig.step()
    frames = 65_536 + 9
    rig.device.sequence = (rig.device.sequence + frames) & 0xFFFF
    rig.device.tick += frames * PER_FRAME * 1000
    rig.now_ns += frames * FRAME_NS
    rig.step()
    assert rig.session.losses.line == frames * PER_FRAME


@pytest.mark.parametrize(("status_lost", "first_tick"), [(False, 1000), (True, 1000), (False, 60_000_000)])
def test_a_device_that_starts_anew_is_no_loss(status_lost: bool, first_tick: int) -> None:
    rig = Rig().connect()
    for _ in range(300):
        rig.step()
    assert rig.session.synchronised
    rig.device = LinkDevice(session=99, first_tick=first_tick)  # a clock that goes on says nothing, the session does
    rig.boot_ns = rig.now_ns - rig.device.tick * 1000
    if status_lost:
        rig.device.transmit_frames()
    for _ in range(60):
        rig.step()
    rig.device.status()
    for _ in range(10):
        rig.step()
    assert rig.session.losses == Losses(device=0, line=0)
    restarted = [index for index, chunk in enumerate(rig.chunks) if chunk.restarted]
    assert len(restarted) == 2
    # The old session's fit is gone with it.
    assert not rig.chunks[restarted[1]].synchronised
    assert rig.chunks[restarted[1]].tick < first_tick + 2_000_000


def test_a_port_opened_anew_begins_a_new_link_and_counts_no_loss() -> None:
    rig = Rig().connect()
    for _ in range(300):
        rig.step()
    rig.device.transmit_frames(150)  # nobody listened for 3 s
    rig.now_ns += 150 * FRAME_NS
    rig.requests = Requests()
    cut = rig.device.transmit(1)[40:]
    rig.hear([cut], rig.now_ns)
    rig.connect()
    for _ in range(5):
        rig.step()
    assert rig.session.losses == Losses(device=0, line=0)
    assert [chunk.restarted for chunk in rig.chunks].count(True) == 2


def test_unknown_types_and_lengths_are_counted_and_skipped() -> None:
    rig = Rig().connect()
    rig.step()
    for kind, body in ((77, b"from the future"), (1, b"\x01"), (1, b""), (1, bytes(21 * 6)), (3, b"short"), (4, b"")):
        rig.device.put(
            encode(Packet(type=kind, stream=0 if kind == 1 else 255, sequence=1, tick=rig.device.tick, body=body))
        )
    rig.device.put(encode(Packet(type=1, stream=9, sequence=1, tick=rig.device.tick, body=bytes(6))))
    rig.step()
    assert rig.session.unknown == 7
    assert rig.session.losses == Losses(device=0, line=0)


def test_frames_before_the_description_are_counted() -> None:
    rig = Rig()
    rig.hear([rig.device.transmit(5)], rig.now_ns)
    assert rig.chunks == []
    assert rig.session.undescribed == 5
