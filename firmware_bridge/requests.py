"""What the host asks the device, and when: its description piece by piece, then the time once a second; what stays unanswered again after 200 ms.

The thread that owns the port uses it. The host numbers its frames too: 0 is the first after the port was opened, so that a recording of
what was written shows where the link began anew; after 65535 comes 1.
"""

from collections.abc import Iterable

from firmware_bridge import packets
from firmware_bridge.description import Assembly, Description, read_description
from firmware_bridge.errors import LinkError
from firmware_bridge.framing import Packet, encode

_REPEAT_NS = 200_000_000
_CLOCK_EVERY_NS = 1_000_000_000


class Requests:
    """One opening of one port. where: the port, for LinkError."""

    def __init__(self, where: str = "port") -> None:
        self._where = where
        self._sequence = 0
        self._assembly = Assembly()
        self._session: int | None = None
        self._due_ns = 0
        self._cookie: int | None = None
        self.description: Description | None = None

    @property
    def awaiting_clock(self) -> bool:
        """Whether an answer is on its way whose arrival must be seen at once."""
        return self._cookie is not None

    def due(self, now_ns: int) -> bytes | None:
        """What is to be written now, None when nothing is. One request at a time is on its way."""
        if now_ns < self._due_ns:
            return None
        self._due_ns = now_ns + _REPEAT_NS
        if self.description is None:
            return self._frame(packets.DESCRIBE, packets.describe_request(self._assembly.wanted or 0))
        # A question asked again has a cookie of its own: an answer never counts for another sending. Cookies from the clock also
        # tell the answers to an earlier opening of the port apart.
        self._cookie = now_ns // 1000 & 0xFFFFFFFF
        return self._frame(packets.CLOCK, packets.clock_request(self._cookie))

    def wait_ns(self, now_ns: int) -> int:
        """How long until something is due."""
        return max(0, self._due_ns - now_ns)

    def take(self, arrived: Iterable[Packet], now_ns: int) -> None:
        """What came. LinkError when the device describes itself in a way that this side does not know."""
        for packet in arrived:
            answer = packets.read_answer(packet)
            if isinstance(answer, packets.Describe):
                self._describe(answer, now_ns)
            elif isinstance(answer, packets.Clock):
                self._meet(answer.session, now_ns)
                if answer.cookie == self._cookie:
                    self._cookie = None
                    self._due_ns = now_ns + _CLOCK_EVERY_NS
            elif isinstance(answer, packets.Status):
                if answer.version != packets.VERSION:
                    raise LinkError(
                        where=self._where,
                        what=f"the device speaks version {answer.version} of the link, this side {packets.VERSION}",
                        remedy="Update the older of the two",
                    )
                self._meet(answer.session, now_ns)

    def _describe(self, piece: packets.Describe, now_ns: int) -> None:
        if self.description is not None:
            return
        whole = self._assembly.take(piece)
        if whole is not None:
            self.description = read_description(whole, self._where)
        self._due_ns = now_ns

    def _meet(self, session: int, now_ns: int) -> None:
        """A session that differs is a device that started anew, perhaps with other firmware: ask again what it is."""
        if self._session is not None and session != self._session:
            self._assembly, self.description, self._cookie = Assembly(), None, None
            self._due_ns = now_ns
        self._session = session

    def _frame(self, kind: int, body: bytes) -> bytes:
        frame = encode(Packet(type=kind, stream=packets.OWN_STREAM, sequence=self._sequence, tick=0, body=body))
        # The first one ends whatever half frame stands in the device's input.
        frame = b"\0" + frame if self._sequence == 0 else frame
        self._sequence = self._sequence % 0xFFFF + 1
        return frame
