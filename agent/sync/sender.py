"""Items → messages. Streams are served by priority (streams.py), items are never sorted. At most `window` messages and `inflight`
bytes are on their way. What is fresh goes as it is on `live/`; what is late, was handed over before, or belongs to a backlog of more than
one window goes as zlib batches on `back/`. PUBACKs are written in groups and not waited for: a lost one costs a duplicate.
"""

import logging
from collections import deque

from agent.clock import Clock
from agent.log import fact
from agent.messages import batch, topics
from agent.store import items
from agent.store.items import Item
from agent.store.writer import Store, Ticket
from agent.sync import kinds, refusals, wire
from agent.sync.allowance import Allowance, Unlimited
from agent.sync.connection import Connection
from agent.sync.news import LIVE_EXPIRY_S, is_news
from agent.sync.offset import Offset
from agent.sync.outgoing import Counts, Out
from agent.sync.puback import Pubacks
from agent.sync.refusals import FAILURE, NO_SUBSCRIBER
from agent.sync.session import Acknowledgement
from agent.sync.stream import Stream
from agent.sync.streams import LEAST_ROOM, Streams
from agent.sync.utc import Utc

PACE_S = 0.05
# How long a stream waits that the data budget has no room for, until it is asked again.
_BLOCKED_US = 1_000_000
_DONE_STREAMS = 8  # so many without anything to send are passed over before they are taken out of the order

_RESEND_RANK = kinds.ORDER.index(kinds.RESEND)

log = logging.getLogger(__name__)


class Sender:
    """Hands over on one connection. A new connection gets a new one; `counts` may go on from the last."""

    def __init__(
        self, store: Store, connection: Connection, *, device: str, window: int, inflight_bytes: int, clock: Clock,
        counts: Counts | None = None, pace_s: float = PACE_S, store_limit_s: float = 5.0, compress: bool = True,
        budget: Allowance | None = None, tls: bool = False, spread: float = 0.0,
    ) -> None:  # fmt: skip
        """spread: the share of a grain over which the devices of a fleet spread their summaries."""
        self._store = store
        self._connection = connection
        self._device = device
        self._window = window
        self._inflight_bytes = inflight_bytes
        self._clock = clock
        self._pace_us = round(pace_s * 1e6)
        self._pubacks = Pubacks(store, clock, store_limit_s)
        self._compress = compress
        self.counts = counts if counts is not None else Counts()
        self._refusal: tuple[str, int] = ("", 0)  # topic, reason code
        self._utc = Utc(clock)
        self._budget = budget if budget is not None else Unlimited()
        self._tls = tls
        self._offset = Offset(device, spread)
        self._aliased: set[str] = set()
        self.streams = Streams(store, clock, store_limit_s, window=window, room=self._budget.room)
        self._resend: deque[Item] = deque()
        self._sent: dict[int, Out] = {}
        self._parked: Out | None = None  # ready, but too large for the bytes that may still go out
        self._sent_bytes = self._messages = 0
        self._next_us = 0

    def refresh(self) -> None:
        """Looks which numbers were given since: to be called after commits."""
        self.streams.refresh()

    def hurry(self) -> None:
        """The end is near: nothing waits for its moment in the grain any more."""
        self._offset = Offset(self._device, 0.0)
        for stream in self.streams.order:
            stream.later_us = 0

    def take_lost(self) -> bool:
        """Whether something became lost since the last call."""
        lost, self.streams.lost = self.streams.lost, 0
        self.counts.corrupt += lost
        return lost > 0

    @property
    def idle(self) -> bool:
        """Nothing on its way and nothing that could go now."""
        return not (self._sent or self._parked or self._resend) and self.streams.idle

    @property
    def ails(self) -> str | None:
        """What keeps items back although the link is there."""
        if self.streams.refused:
            return refusals.message(*self._refusal)
        if self.counts.too_large:
            return f"{self.counts.too_large} items are larger than the broker's maximum packet size. Raise it; they stay here"
        return None

    @property
    def resending(self) -> bool:
        """What was asked for waits to be handed over."""
        return bool(self._resend)

    @property
    def resent(self) -> bool:
        """Everything that was asked for is acknowledged by the broker."""
        on_their_way = (*self._sent.values(), self._parked)
        return not self._resend and all(out is None or out.stream is not None for out in on_their_way)

    def resend(self, asked: list[Item]) -> None:
        """Items of one stream of one epoch, in order, that go out on `back/` again."""
        gone = self.streams.mark_handed(asked)
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
        self._budget.arrived(sent.wire_bytes)
        if mark.code >= FAILURE:
            self._refused(sent, mark.code)
            return
        self.counts.messages += 1
        self.counts.items += len(sent.ids)
        self.counts.unheard += mark.code == NO_SUBSCRIBER
        self._pubacks.add(sent.ids)
        if sent.stream is not None:
            sent.stream.accepted()

    def write_acknowledged(self, *, all_of_them: bool = False) -> Ticket | None:
        """Gives the PUBACKs to the store when a group is together or old enough."""
        return self._pubacks.write(all_of_them=all_of_them)

    def _has_room(self) -> bool:
        if len(self._sent) >= self._window or self._connection.room() <= 0:
            return False
        return self._parked is None or self._bytes_left(self._parked)

    def _bytes_left(self, out: Out) -> bool:
        return not self._sent or self._sent_bytes + len(out.payload) <= self._inflight_bytes

    def _hand_over(self, now_us: int) -> bool:
        """One message. False when there is none."""
        done = 0
        for stream in self.streams.order:
            if stream.rank[0] > _RESEND_RANK and self._resend and self._hand_over_asked():
                return True
            if not stream.more:
                done += 1
                continue
            if max(stream.not_before_us, stream.later_us) > now_us or not self._read(stream, now_us):
                continue
            if done > _DONE_STREAMS:
                self.streams.sort()
            if self._hand_over_of(stream, now_us):
                return True
        return bool(self._resend) and self._hand_over_asked()

    def _read(self, stream: Stream, now_us: int) -> bool:
        """Whether it has something to send, and the data budget any room for it."""
        if self._budget.room(stream.kind) < LEAST_ROOM:
            stream.later_us = now_us + _BLOCKED_US
            return False
        return bool(stream.waiting) or self.streams.load(stream)

    def _hand_over_of(self, stream: Stream, now_us: int) -> bool:
        """The next message of a stream that has some; False when it must wait."""
        backlog = len(stream.waiting) > self._window
        # The place of the first that goes as it is, None where none does.
        live = () if backlog else (place for place, item in enumerate(stream.waiting) if self._is_live(item))
        place = next(iter(live), None)
        if place != 0:
            late = list(stream.waiting)[:place]
            count = self._send_back(late, stream)
            for _ in range(count):
                stream.waiting.popleft()
            if count:
                return True
        # What is late may have to wait for the data budget; what is news goes before it.
        if place is not None:
            item = stream.waiting[place]
            wait_us = self._offset.wait_us(item.body, stream.text, self._utc.now_us())
            if wait_us > 0:
                stream.later_us = now_us + wait_us
                return False
            if self._send_live(item, stream):
                del stream.waiting[place]
                return True
        stream.later_us = now_us + _BLOCKED_US
        return False

    def _hand_over_asked(self) -> bool:
        first = self._resend[0]
        same: list[Item] = []
        for item in self._resend:
            if (item.epoch, item.stream) != (first.epoch, first.stream):
                break
            same.append(item)
        count = self._send_back(same, None)
        for _ in range(count):
            self._resend.popleft()
        return count > 0

    def _is_live(self, item: Item) -> bool:
        """Is this the first sending, is it news, and small enough to go as it is? What is too large may still go compressed."""
        if item.state != items.PENDING or item.epoch != self._store.epoch:
            return False
        small = len(item.body) <= self._connection.payload_limit(topics.live(self._device, item.stream_text))
        return small and is_news(item.body, item.stream_text, self._utc.now_us())

    def _send_live(self, item: Item, stream: Stream) -> bool:
        """False: the data budget has no room for it now."""
        topic = topics.live(self._device, stream.text)
        kind = kinds.kind_of(stream.text, live=True)
        out = self._out(topic, item.body, LIVE_EXPIRY_S, [item.id], item.seq, stream, kind)
        return self._publish_if_allowed(out)

    def _send_back(self, found: list[Item], stream: Stream | None) -> int:
        """One batch of the first of these; how many are dealt with. 0: the data budget has no room for it now."""
        kind = kinds.RESEND if stream is None else kinds.kind_of(stream.text, live=False)
        topic = topics.back(self._device, found[0].stream_text)
        limit = self._connection.payload_limit(topic)
        room = self._budget.room(kind) - wire.message_bytes(0, len(topic), tls=self._tls)
        if room <= 0:
            return 0
        most = max(1, min(batch.MAX_PACKED_BYTES, self._inflight_bytes, limit, room * 9 // 10))
        payload, count = batch.pack([item.body for item in found], most, compress=self._compress)
        if len(payload) > limit:
            self._too_large(found[0])
            return 1
        ids = [item.id for item in found[:count]]
        out = self._out(topic, payload, None, ids, found[0].seq, stream, kind)
        return count if self._publish_if_allowed(out) else 0

    def _out(
        self, topic: str, payload: bytes, expiry_s: int | None, ids: list[int], first: int, stream: Stream | None, kind: str
    ) -> Out:  # fmt: skip
        aliased = topic in self._aliased
        size = wire.message_bytes(len(payload), len(topic), tls=self._tls, aliased=aliased)
        return Out(topic, payload, expiry_s, ids, first, stream, kind, size)

    def _publish_if_allowed(self, out: Out) -> bool:
        allowed = self._budget.allows(out.kind, out.wire_bytes)
        if allowed:
            self._publish(out)
        return allowed

    def _publish(self, out: Out) -> None:
        if not self._bytes_left(out):
            self._parked = out
            return
        mid = self._connection.publish(out.topic, out.payload, expiry_s=out.expiry_s, alias=True)
        if len(self._aliased) < self._connection.limits.topic_aliases:
            self._aliased.add(out.topic)
        self._budget.hand(out.kind, out.wire_bytes)
        self._sent[mid] = out
        self._sent_bytes += len(out.payload)
        self._messages += 1

    def _too_large(self, item: Item) -> None:
        """It stays todo: another broker, or this one with a larger limit, may take it."""
        self.counts.too_large += 1
        if _now_and_then(self.counts.too_large):
            log.warning(fact("item too large for the broker", stream=item.stream_text, seq=item.seq))

    def _refused(self, sent: Out, code: int) -> None:
        """The stream begins again at the refused number, after a pause that doubles."""
        self.counts.refused += 1
        self._refusal = sent.topic, code
        if _now_and_then(count := self.counts.refused):
            log.warning(fact("messages refused by the broker", topic=sent.topic, code=f"0x{code:02X}", count=count))
        if sent.stream is not None:
            sent.stream.again(sent.first, self._clock.boot_us())
            self.streams.sort()


def _now_and_then(count: int) -> bool:
    """The 1st, 2nd, 4th, 8th…: a fault that goes on is told without filling the log."""
    return count & (count - 1) == 0
