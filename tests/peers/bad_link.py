"""A bad network between a client and a server on this machine: TCP as it feels over a modem at the edge of its cell.

with bad_link(broker.port, random.Random(7)) as link:
    connect_to(link.port)
    link.quality = Quality(delay_s=2.0)                     # each way
    link.quality = Quality(stall_share=0.3, stall_s=1.0)    # lost segments: TCP hides them, the bytes behind them come late
    link.quality = Quality(reset_share=0.02)                # a middle box that forgets: both sides get a reset in the middle of a message
    link.quality = Quality(trickle=True)                    # a byte a write
    link.quality = Quality(half_open=True)                  # what is written goes nowhere, nothing is closed
    link.quality = Quality(refuses=True)                    # no new session; those there are reset
    link.accepted, link.resets, link.carried                # sessions, resets, bytes (up, down)

A new quality holds for what arrives from then on. One thread; the order of bytes never changes, as in TCP.
"""

import heapq
import itertools
import random
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

_CHUNK = 16_384
_MOST_WAITING = 1 << 18
_STEP_S = 0.05


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of the chunks that are read, of up to 16 kB."""

    delay_s: float = 0.0
    stall_share: float = 0.0
    stall_s: float = 0.0
    reset_share: float = 0.0
    trickle: bool = False
    half_open: bool = False
    refuses: bool = False


class _Way:
    """What goes from one socket to the other."""

    def __init__(self, source: socket.socket, target: socket.socket, upwards: bool) -> None:
        self.source, self.target, self.upwards = source, target, upwards
        self.waiting: deque[tuple[float, bytes]] = deque()  # (not before, bytes); b"": the end
        self.size = 0
        self.free_at_s = 0.0  # what comes later cannot overtake
        self.session: _Session


class _Session:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.ways = (_Way(client, server, True), _Way(server, client, False))
        for way in self.ways:
            way.session = self
        self.dead = False


class BadLink:
    """`quality` may be set, the counts read, by any thread."""

    def __init__(self, target_port: int, rng: random.Random) -> None:
        self._target_port = target_port
        self._rng = rng
        self.quality = Quality()
        self.accepted = self.resets = 0
        self.carried = [0, 0]
        self._sessions: list[_Session] = []
        self._due: list[tuple[float, int, _Way]] = []
        self._order = itertools.count()
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="bad link")
        self._thread.start()

    @property
    def open_sessions(self) -> int:
        return len(self._sessions)

    def close(self) -> None:
        self._closing = True
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closing:
            wait_s = _STEP_S
            if self._due:
                wait_s = min(wait_s, max(0.0, self._due[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait_s):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, _Way) and not key.data.session.dead:
                    self._read(key.data)
            now_s = time.monotonic()
            while self._due and self._due[0][0] <= now_s:
                way = heapq.heappop(self._due)[2]
                if not way.session.dead:
                    self._write(way, now_s)
            if self.quality.refuses:
                for session in list(self._sessions):
                    self._reset(session)
        for session in list(self._sessions):
            self._end(session)
        self._selector.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self.accepted += 1
        try:
            if self.quality.refuses:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self._target_port), timeout=1.0)
        except OSError:
            _abort(client)
            return
        session = _Session(client, server)
        self._sessions.append(session)
        for way in session.ways:
            way.source.setblocking(False)
            way.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(way.source, selectors.EVENT_READ, way)

    def _read(self, way: _Way) -> None:
        try:
            data = way.source.recv(_CHUNK)
        except OSError:
            self._reset(way.session)
            return
        quality = self.quality
        if quality.half_open:
            if not data:
                self._selector.unregister(way.source)
            return
        if data and self._rng.random() < quality.reset_share:
            self._reset(way.session)
            return
        now_s = time.monotonic()
        at_s = now_s + quality.delay_s
        if self._rng.random() < quality.stall_share:
            at_s += self._rng.uniform(0.0, 2 * quality.stall_s)
        way.free_at_s = max(way.free_at_s, at_s)
        way.waiting.append((way.free_at_s, data))
        way.size += len(data)
        if not data or way.size >= _MOST_WAITING:  # the sender is held back, as by a full window
            self._selector.unregister(way.source)
        if len(way.waiting) == 1:
            heapq.heappush(self._due, (way.free_at_s, next(self._order), way))

    def _write(self, way: _Way, now_s: float) -> None:
        while way.waiting and way.waiting[0][0] <= now_s:
            at_s, data = way.waiting[0]
            if not data:
                self._end(way.session)
                return
            try:
                sent = way.target.send(data[:1] if self.quality.trickle else data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._reset(way.session)
                return
            self.carried[0 if way.upwards else 1] += sent
            way.size -= sent
            if sent == len(data):
                way.waiting.popleft()
            else:
                way.waiting[0] = (at_s, data[sent:])
                if not sent or self.quality.trickle:
                    break
        if way.waiting:
            again_s = way.waiting[0][0]
            if again_s <= now_s:
                again_s = now_s + (0.0005 if self.quality.trickle else 0.01)
            heapq.heappush(self._due, (again_s, next(self._order), way))
        if way.size < _MOST_WAITING and not (way.waiting and way.waiting[-1][1] == b""):
            with suppress(KeyError, ValueError):
                self._selector.register(way.source, selectors.EVENT_READ, way)

    def _reset(self, session: _Session) -> None:
        self.resets += 1
        self._close(session, abort=True)

    def _end(self, session: _Session) -> None:
        self._close(session, abort=False)

    def _close(self, session: _Session, *, abort: bool) -> None:
        session.dead = True
        if session in self._sessions:
            self._sessions.remove(session)
        for way in session.ways:
            with suppress(KeyError, ValueError):
                self._selector.unregister(way.source)
            if abort:
                _abort(way.source)
            else:
                way.source.close()


def _abort(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextmanager
def bad_link(target_port: int, rng: random.Random) -> Iterator[BadLink]:
    link = BadLink(target_port, rng)
    try:
        yield link
    finally:
        link.close()
