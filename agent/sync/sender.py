"""Items → messages. Streams are served by priority (streams.py), items are never sorted. At most `window` messages and `inflight`
bytes are on their way. What is fresh goes as it is on `live/`; what is late, was handed over before, or belongs to a backlog of more than
one window goes as zlib batches on `back/`. PUBACKs are written in groups and not waited for: a lost one costs a duplicate.
"""

import logging
from collections import deque

import msgspec

from agent.clock import Clock, Reading
from agent.log import fact
from agent.messages import batch, times, topics
from agent.store import items
from agent.store.items import Item
from agent.store.writer import Store, Ticket
from agent.sync.connection import Connection
from agent.sync.refusals import FAILURE, NO_SUBSCRIBER
from agent.sync.session import Acknowledgement
from agent.sync.streams import Stream, Streams

LIVE_EXPIRY_S = 86_400
# An event is news for a day, a summary for twice its grain after its end.
EVENT_LIVE_US = LIVE_EXPIRY_S * 1_000_000
PACE_S = 0.05
# PUBACKs that wait to be written, and for how long at most.
GROUP_ACKNOWLEDGED = 500
GROUP_US = 250_000
_READING_US = 1_000_000
_DONE_STREAMS = 8  # so many without anything to send are passed over before they are taken out of the order

log = logging.getLogger(__name__)


class Counts(msgspec.Struct, kw_only=True):
    """Since the agent started. messages, items: acknowledged. unheard: messages that nobody subscribed to, acknowledged too."""

    messages: int = 0
    items: int = 0
    resent: int = 0
    unheard: int = 0
    refused: int = 0
    corrupt: int = 0
    too_large: int = 0


class _When(msgspec.Struct):
    """What an item's body says about its time: window, event, or (a gap item has neither) when it was made."""

    at: str = ""
    w: tuple[str, int] | None = None
    t: tuple[str, str | None] | None = None
    mono: tuple[int | None, int | None] | None = None


class _Out(msgspec.Struct):
    """A message, ready or on its way."""

    topic: str
    payload: bytes
    expiry_s: int | None
    ids: list[int]
    first: int  # number of its first item
    stream: Stream | None  # None: asked for by cmd/resend


class Sender:
    """Hands over on one connection. A new connection gets a new one; `counts` may go on from the last."""

    def __init__(
        self, store: Store, connection: Connection, *, device: str, window: int, inflight_bytes: int, clock: Clock,
        counts: Counts | None = None, pace_s: float = PACE_S, store_limit_s: float = 5.0, compress: bool = True,
    ) -> None:  # fmt: skip
        self._store = store
        self._connection = connection
        self._device = device
        self._window = window
        self._inflight_bytes = inflight_bytes
        self._clock = clock
        self._pace_us = round(pace_s * 1e6)
        self._store_limit_s = store_limit_s
        self._compress = compress
        self.counts = counts if counts is not None else Counts()
        self._refusal = 0
        self._reading: Reading | None = None
        self._streams = Streams(store, clock, store_limit_s)
        self._resend: deque[Item] = deque()
        self._sent: dict[int, _Out] = {}
        self._parked: _Out | None = None  # ready, but too large for the bytes that may still go out
        self._sent_bytes = 0
        self._messages = 0
        self._next_us = 0
        self._acknowledged: list[int] = []
        self._oldest_us = 0

    def refresh(self) -> None:
        """Looks which numbers were given since: to be called after commits."""
        self._streams.refresh()

    def take_lost(self) -> bool:
        """Whether something became lost since the last call."""
        lost, self._streams.lost = self._streams.lost, 0
        self.counts.corrupt += lost
        return lost > 0

    @property
    def idle(self) -> bool:
        """Nothing on its way and nothing that could go now."""
        return not (self._sent or self._parked or self._resend) and self._streams.idle

    @property
    def ails(self) -> str | None:
        """What keeps items back although the link is there."""
        if self._streams.refused:
            return f"the broker refuses messages (0x{self._refusal:02X}). Look into its log; they are sent again"
        if self.counts.too_large:
            return f"{self.counts.too_large} items are larger than the broker's maximum packet size. Raise it; they stay here"
        return None

    @property
    def resending(self) -> bool:
        """Something that was asked for waits to be handed over."""
        return bool(self._resend)

    @property
    def resent(self) -> bool:
        """Everything that was asked for is acknowledged by the broker."""
        on_their_way = (*self._sent.values(), *filter(None, [self._parked]))
        return not self._resend and all(out.stream is not None for out in on_their_way)

    def resend(self, asked: list[Item]) -> None:
        """Items of one stream of one epoch, in order, that go out on `back/` again."""
        gone = self._streams.mark_handed(asked)
        self._resend.extend(item for item in asked if item.id not in gone)
        self.counts.resent += len(asked)

    def pump(self) -> float:
        """Hands over what may go now. Seconds after which more may go for the pace alone; a long time otherwise."""
        while self._has_room():
            now_us = self._clock.boot_us()
            if self._messages < self._window:
                # The first window after a connect: a broker, and what stands behind it, gets time to find its feet.
                if now_us < self._next_us:
                    return (self._next_us - now_us) / 1e6
                self._next_us = now_us + self._pace_us
            if self._parked is not None:
                out, self._parked = self._parked, None
                self._publish(out)
            elif not self._hand_over(now_us):
                break
        return 1.0

    def acknowledge(self, mark: Acknowledgement) -> None:
        """One PUBACK; those of others (status, ledger) are passed over."""
        sent = self._sent.pop(mark.mid, None)
        if sent is None:
            return
        self._sent_bytes -= len(sent.payload)
        if mark.code >= FAILURE:
            self._refused(sent, mark.code)
            return
        self.counts.messages += 1
        self.counts.items += len(sent.ids)
        self.counts.unheard += mark.code == NO_SUBSCRIBER
        if sent.stream is not None:
            sent.stream.accepted()
        if not self._acknowledged:
            self._oldest_us = self._clock.boot_us()
        self._acknowledged += sent.ids

    def write_acknowledged(self, *, all_of_them: bool = False) -> Ticket | None:
        """Gives the PUBACKs to the store when a group is together or old enough."""
        due = len(self._acknowledged) >= GROUP_ACKNOWLEDGED or self._clock.boot_us() - self._oldest_us >= GROUP_US
        if not self._acknowledged or not (due or all_of_them):
            return None
        ids, self._acknowledged = self._acknowledged, []
        return self._store.submit(
            lambda transaction: items.mark_acknowledged(transaction, ids),
            ends_group=all_of_them,
            timeout_s=self._store_limit_s,
        )

    def _has_room(self) -> bool:
        if len(self._sent) >= self._window or self._connection.room() <= 0:
            return False
        return self._parked is None or self._bytes_left(self._parked)

    def _bytes_left(self, out: _Out) -> bool:
        return not self._sent or self._sent_bytes + len(out.payload) <= self._inflight_bytes

    def _hand_over(self, now_us: int) -> bool:
        """One message. False when there is none."""
        done = 0
        for stream in self._streams.order:
            if not stream.more:
                done += 1
                continue
            if stream.not_before_us > now_us or not (stream.waiting or self._streams.load(stream)):
                continue
            if done > _DONE_STREAMS:
                self._streams.sort()
            backlog = len(stream.waiting) > self._window
            if not backlog and self._is_live(stream.waiting[0]):
                self._send_live(stream)
                return True
            late = list(stream.waiting)
            if not backlog:
                late = late[: next((place for place, item in enumerate(late) if self._is_live(item)), len(late))]
            for _ in range(self._send_back(late, stream)):
                stream.waiting.popleft()
            return True
        return bool(self._resend) and self._hand_over_asked()

    def _hand_over_asked(self) -> bool:
        first = self._resend[0]
        same: list[Item] = []
        for item in self._resend:
            if (item.epoch, item.stream) != (first.epoch, first.stream):
                break
            same.append(item)
        for _ in range(self._send_back(same, None)):
            self._resend.popleft()
        return True

    def _is_live(self, item: Item) -> bool:
        """Is this the first sending, is it still news, and small enough to go as it is?"""
        if item.state != items.PENDING or item.epoch != self._store.epoch or item.stream_text.startswith("result/"):
            return False
        if len(item.body) > self._connection.payload_limit(topics.live(self._device, item.stream_text)):
            return False  # compressed, it may still go
        now_us = self._utc_us()
        if now_us is None:
            return False
        try:
            when = msgspec.json.decode(item.body, type=_When)
            if when.t is not None:
                return now_us - times.parse(when.t[0]) <= EVENT_LIVE_US
            if when.w is not None:
                end_us = times.parse(when.w[0]) + when.w[1] * 1_000_000
                return now_us - end_us <= 2 * when.w[1] * 1_000_000
            # What was made without a time may tell of a boot long ago.
            return when.mono is None and now_us - times.parse(when.at) <= EVENT_LIVE_US
        except (msgspec.DecodeError, ValueError):
            return False

    def _utc_us(self) -> int | None:
        """UTC, None when it is not known. Asking the system costs more than sending a message: once a second is enough."""
        boot_us = self._clock.boot_us()
        if self._reading is None or boot_us - self._reading.at_us >= _READING_US:
            self._reading = self._clock.reading()
        return boot_us + self._reading.utc_offset_us if self._reading.known else None

    def _send_live(self, stream: Stream) -> None:
        item = stream.waiting.popleft()
        topic = topics.live(self._device, stream.text)
        self._publish(_Out(topic, item.body, LIVE_EXPIRY_S, [item.id], item.seq, stream))

    def _send_back(self, found: list[Item], stream: Stream | None) -> int:
        """One batch of the first of these; how many are dealt with."""
        topic = topics.back(self._device, found[0].stream_text)
        limit = self._connection.payload_limit(topic)
        most = max(1, min(batch.MAX_PACKED_BYTES, self._inflight_bytes, limit))
        payload, count = batch.pack([item.body for item in found], most, compress=self._compress)
        if len(payload) > limit:
            self._too_large(found[0])
            return 1
        self._publish(_Out(topic, payload, None, [item.id for item in found[:count]], found[0].seq, stream))
        return count

    def _publish(self, out: _Out) -> None:
        if not self._bytes_left(out):
            self._parked = out
            return
        mid = self._connection.publish(out.topic, out.payload, expiry_s=out.expiry_s, alias=True)
        self._sent[mid] = out
        self._sent_bytes += len(out.payload)
        self._messages += 1

    def _too_large(self, item: Item) -> None:
        """It stays todo: another broker, or this one with a larger limit, may take it."""
        self.counts.too_large += 1
        if _now_and_then(self.counts.too_large):
            log.warning(
                fact("item too large for the broker", stream=item.stream_text, seq=item.seq, bytes=len(item.body))
            )

    def _refused(self, sent: _Out, code: int) -> None:
        """The broker has it not: the stream begins again at the refused number, after a pause that doubles."""
        self.counts.refused += 1
        self._refusal = code
        if _now_and_then(self.counts.refused):
            log.warning(fact("messages refused by the broker", code=f"0x{code:02X}", count=self.counts.refused))
        if sent.stream is not None:
            sent.stream.again(sent.first, self._clock.boot_us())
            self._streams.sort()


def _now_and_then(count: int) -> bool:
    """The 1st, 2nd, 4th, 8th…: a fault that goes on is told without filling the log."""
    return count & (count - 1) == 0
