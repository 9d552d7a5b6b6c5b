"""A device of the serial link, in simulated time: one stream, ideal or not. It speaks through `firmware_bridge.framing` only; that the C
library speaks the same is what vectors.json and the firmware tests prove.

device = LinkDevice(session=7)
device.receive(request)            # what the host wrote; answers stand in the next `transmit`
data = device.transmit(frames=3)   # three frames of samples, and whatever else is due
"""

import struct

from firmware_bridge import packets
from firmware_bridge.framing import Packet, Receiver, encode

DESCRIPTION = (
    b'{"v":1,"fw":"test 1.0","tick_hz":1000000,"streams":[{"id":0,"name":"vibration","rate_hz":1000,"axes":3,'
    b'"type":"int16","scale":0.5,"unit":"m/s2","n":20}]}'
)
PER_FRAME = 20


class LinkDevice:
    def __init__(
        self, *, session: int = 1, description: bytes = DESCRIPTION, version: int = 1, first_tick: int = 1000
    ) -> None:
        self.session = session
        self.description = description
        self.version = version
        self.tick = first_tick
        self.sample = 0  # number of the next sample: its first axis's value, modulo 30,000
        self.dropped = 0
        self.sequence = 0
        self._own_sequence = 0
        self._receiver = Receiver()
        self._out: list[bytes] = []
        self.status()

    def receive(self, data: bytes) -> None:
        for packet in self._receiver.feed(data):
            if packet.type == packets.DESCRIBE:
                offset = int.from_bytes(packet.body, "little")
                if offset == 0:
                    self.status()
                piece = self.description[offset : offset + packets.DESCRIPTION_CHUNK]
                self._own(
                    packets.DESCRIBE,
                    packets.Describe(offset=offset, total=len(self.description), data=piece).to_bytes(),
                )
            elif packet.type == packets.CLOCK:
                cookie = int.from_bytes(packet.body, "little")
                self._own(packets.CLOCK, packets.Clock(cookie=cookie, tick=self.tick, session=self.session).to_bytes())

    def status(self) -> None:
        body = packets.Status(session=self.session, dropped=self.dropped & 0xFFFFFFFF, version=self.version).to_bytes()
        self._own(packets.STATUS, body)

    def transmit(self, frames: int = 0) -> bytes:
        """What goes over the line: answers, then so many frames of samples."""
        return b"".join(self.transmit_frames(frames))

    def transmit_frames(self, frames: int = 0) -> list[bytes]:
        for _ in range(frames):
            self._out.append(self._samples())
        out, self._out = self._out, []
        return out

    def overrun(self, frames: int) -> None:
        """Takes samples for which it finds no room."""
        for _ in range(frames):
            self._samples()
        self.dropped += frames * PER_FRAME

    def put(self, frame: bytes) -> None:
        self._out.append(frame)

    def _samples(self) -> bytes:
        values = []
        for number in range(self.sample, self.sample + PER_FRAME):
            values += [number % 30_000, -(number % 30_000), 7]
        packet = Packet(
            type=packets.SAMPLES,
            stream=0,
            sequence=self.sequence,
            tick=self.tick & 0xFFFFFFFF,
            body=struct.pack(f"<{3 * PER_FRAME}h", *values),
        )
        self.sample += PER_FRAME
        self.tick += PER_FRAME * 1000
        self.sequence = (self.sequence + 1) & 0xFFFF
        return encode(packet)

    def _own(self, kind: int, body: bytes) -> None:
        packet = Packet(
            type=kind, stream=packets.OWN_STREAM, sequence=self._own_sequence, tick=self.tick & 0xFFFFFFFF, body=body
        )
        self._own_sequence = (self._own_sequence + 1) & 0xFFFF
        self._out.append(encode(packet))
