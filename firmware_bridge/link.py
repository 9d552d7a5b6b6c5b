"""What was said over a link: chunks of samples with the host's times, and what was lost, by cause.

`Session` is a pure function of what was read and written and when, so a recording of both directions gives the same chunks again.
"""

import msgspec

from firmware_bridge import packets
from firmware_bridge.clock import ClockFit, Unwrap
from firmware_bridge.description import Assembly, Description, Stream, read_description
from firmware_bridge.errors import LinkError
from firmware_bridge.framing import Packet, Receiver

_QUESTIONS_KEPT = 16


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive samples of one stream. data: count x axes int16, little-endian. tick, at_ns: of the first sample.

    at_ns is the host's time: from the fit of both clocks when `synchronised`, else the arrival less the samples' duration.
    error_ns: of the fit. lost: samples missing since the stream's previous chunk. restarted: the first one of a device that started anew or of
    a port that was opened anew; what is missing before it nobody can count.
    """

    stream: Stream
    tick: int
    at_ns: int
    synchronised: bool
    error_ns: int
    count: int
    data: bytes
    lost: int
    restarted: bool


class Losses(msgspec.Struct, frozen=True, kw_only=True):
    """Samples that never came: device: it found no room to send them. line: cut or damaged on the way."""

    device: int
    line: int


class _Run(msgspec.Struct, kw_only=True):
    """Frames of one stream that follow each other within one read."""

    stream: Stream
    tick: int
    lost: int
    restarted: bool
    count: int = 0
    data: list[bytes] = []


class _Place(msgspec.Struct, kw_only=True):
    """Where a stream stands."""

    sequence: int  # of the newest frame
    tick: int  # of its first sample
    samples: int  # in it; 0 while nobody knows how long one is


class Session:
    """`read` and `wrote` in the order in which it happened; times in ns on one clock that never steps."""

    def __init__(self) -> None:
        self._receiver = Receiver()
        self._own = Receiver()  # reads the host's requests
        self._questions: dict[int, int] = {}  # cookie: when it was sent
        self._missing = 0
        self._dropped = 0
        self.unknown = 0  # frames of types or lengths that this version does not know
        self.undescribed = 0  # frames of samples before the description
        self._begin(None)

    def _begin(self, session: int | None) -> None:
        self._session = session
        self._assembly = Assembly()
        self.description: Description | None = None
        self._clock: ClockFit | None = None
        self._unwrap = Unwrap()
        self._places: dict[int, _Place] = {}
        self._begun: set[int] = set()  # streams that gave a chunk since
        self._dropped_before: int | None = None
        self._runs: list[_Run] = []

    @property
    def receiver(self) -> Receiver:
        """Its counts of damaged frames."""
        return self._receiver

    @property
    def losses(self) -> Losses:
        # The device's count may be ahead of the frames: its status overtakes what is still missing.
        device = min(self._dropped, self._missing)
        return Losses(device=device, line=self._missing - device)

    @property
    def synchronised(self) -> bool:
        return self._clock is not None and self._clock.synchronised

    def wrote(self, now_ns: int, data: bytes) -> None:
        """What the host wrote, and when the writing began."""
        for packet in self._own.feed(data):
            if packet.sequence == 0:
                self._receiver.restart()
                self._begin(None)
            cookie = packets.read_clock_request(packet)
            if cookie is not None:
                self._questions[cookie] = now_ns
                if len(self._questions) > _QUESTIONS_KEPT:
                    del self._questions[next(iter(self._questions))]

    def read(self, now_ns: int, data: bytes) -> list[Chunk]:
        """What came in one read, and when it was there."""
        chunks: list[Chunk] = []
        for packet in self._receiver.feed(data):
            if packet.type == packets.SAMPLES:
                if self._went_back(packet):
                    chunks += self._chunks(now_ns)
                    self._begin(None)
                self._samples(packet)
                continue
            answer = packets.read_answer(packet)
            if answer is None:
                self.unknown += 1
            elif isinstance(answer, packets.Describe):
                self._describe(answer)
            else:
                if self._session not in (None, answer.session):
                    chunks += self._chunks(now_ns)
                    self._begin(answer.session)
                self._session = answer.session
                if isinstance(answer, packets.Clock):
                    self._answer(answer, now_ns)
                else:
                    self._status(answer)
        return chunks + self._chunks(now_ns)

    def _describe(self, piece: packets.Describe) -> None:
        whole = None if self.description else self._assembly.take(piece)
        if whole is None:
            return
        try:
            self.description = read_description(whole, "link")
        except LinkError:
            self._assembly = Assembly()  # the thread that owns the port reports it
            return
        self._clock = ClockFit(self.description.tick_hz)

    def _answer(self, answer: packets.Clock, now_ns: int) -> None:
        self._unwrap.known(answer.tick)
        sent_ns = self._questions.pop(answer.cookie, None)
        if sent_ns is not None and self._clock is not None:
            self._clock.add(sent_ns, now_ns, answer.tick)

    def _status(self, status: packets.Status) -> None:
        if self._dropped_before is not None:
            self._dropped += (status.dropped - self._dropped_before) & 0xFFFFFFFF
        self._dropped_before = status.dropped

    def _went_back(self, packet: Packet) -> bool:
        """Whether the device's time went back: it started anew, and the status that says so was lost."""
        place = self._places.get(packet.stream)
        return place is not None and (packet.tick - place.tick) & 0xFFFFFFFF >= 1 << 31

    def _samples(self, packet: Packet) -> None:
        stream = self._stream(packet.stream)
        if stream is None:
            if self.description is None:
                self.undescribed += 1
                self._places[packet.stream] = _Place(sequence=packet.sequence, tick=packet.tick, samples=0)
            else:
                self.unknown += 1
            return
        count, over = divmod(len(packet.body), stream.sample_bytes)
        if over or not 0 < count <= stream.n:
            self.unknown += 1
            return
        place = self._places.get(stream.id)
        lost = 0 if place is None else stream.n * self._frames_missing(packet, place, stream)
        if place is not None and place.samples == 0:
            lost = 0  # missing among frames that nobody could read yet
        self._missing += lost
        self._places[stream.id] = _Place(sequence=packet.sequence, tick=packet.tick, samples=count)
        run = next((run for run in reversed(self._runs) if run.stream.id == stream.id), None)
        if run is None or lost:
            restarted = stream.id not in self._begun
            self._begun.add(stream.id)
            tick = self._unwrap.full(packet.tick)
            run = _Run(stream=stream, tick=tick, lost=lost, restarted=restarted, data=[])
            self._runs.append(run)
        run.count += count
        run.data.append(packet.body)

    def _frames_missing(self, packet: Packet, place: _Place, stream: Stream) -> int:
        assert self.description is not None
        missing = (packet.sequence - place.sequence - 1) & 0xFFFF
        # The number tells frames apart up to 65,536; how many turns more, the tick tells.
        elapsed = (packet.tick - place.tick) & 0xFFFFFFFF
        frame_ticks = stream.n * self.description.tick_hz / stream.rate_hz
        return missing + 65536 * max(0, round((elapsed / frame_ticks - 1 - missing) / 65536))

    def _stream(self, number: int) -> Stream | None:
        streams = () if self.description is None else self.description.streams
        return next((stream for stream in streams if stream.id == number), None)

    def _chunks(self, now_ns: int) -> list[Chunk]:
        runs, self._runs = self._runs, []
        if not runs:
            return []
        assert self.description is not None
        assert self._clock is not None
        ends = {run.stream.id: run.tick + run.count * self.description.tick_hz / run.stream.rate_hz for run in runs}
        chunks = []
        for run in runs:
            at_ns = now_ns - round((ends[run.stream.id] - run.tick) * 1e9 / self.description.tick_hz)
            if self._clock.synchronised:
                # Whatever the fit says, a sample was taken before it came.
                at_ns = min(at_ns, self._clock.host_ns(run.tick))
            chunks.append(
                Chunk(
                    stream=run.stream,
                    tick=run.tick,
                    at_ns=at_ns,
                    synchronised=self._clock.synchronised,
                    error_ns=self._clock.error_ns,
                    count=run.count,
                    data=b"".join(run.data),
                    lost=run.lost,
                    restarted=run.restarted,
                )
            )
        return chunks
