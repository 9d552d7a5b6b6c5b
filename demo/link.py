"""A network link between a client and a server on this machine, which the demo and the tests cut, restore and turn into a black hole.

with tcp_link(broker.port) as link:
    connect_to(link.port)        # bound by the kernel (port 0): never taken by another program, also while the link is cut
    link.cut()                   # both sides get a reset; new connections are refused, as by a host whose program is gone
    link.black_hole()            # nothing is forwarded, nothing is closed: a modem that lost its way. What arrives is thrown away.
    link.restore()               # forwards again; sessions that were in the hole stay dead (their bytes are gone): both sides get a reset
    link.accepted, link.open_sessions

One thread; `cut`, `black_hole` and `restore` return when they are done.
"""

import queue
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BUFFER_BYTES = 1 << 18
COMMAND_LIMIT_S = 5.0


class _Side:
    """One socket of a session and what waits to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.out = bytearray()
        self.other: _Side
        self.ended = False  # no more will be read here


class TcpLink:
    """`accepted` and `open_sessions` may be read at any time by any thread."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        # Bound but not listening: it keeps the port while the link is cut, when nobody may listen on it.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self._listener: socket.socket | None = None
        self.accepted = 0
        self._hole = False
        self._closing = False
        self._sides: list[_Side] = []
        self._commands: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._listen()
        self._thread = threading.Thread(target=self._run, name="tcp link")
        self._thread.start()

    @property
    def open_sessions(self) -> int:
        return len(self._sides) // 2

    def cut(self) -> None:
        self._do(self._cut)

    def black_hole(self) -> None:
        self._do(lambda: setattr(self, "_hole", True))

    def restore(self) -> None:
        self._do(self._restore)

    def close(self) -> None:
        self._do(lambda: setattr(self, "_closing", True))
        self._thread.join(COMMAND_LIMIT_S)

    def _do(self, command: Callable[[], None]) -> None:
        done = threading.Event()
        self._commands.put((command, done))
        self._wake_write.send(b"!")
        if not done.wait(COMMAND_LIMIT_S):
            raise TimeoutError("the link's thread does not answer")

    def _cut(self) -> None:
        self._drop_all()
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _restore(self) -> None:
        if self._hole:
            self._drop_all()
        self._hole = False
        self._listen()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
            self._listener.listen(64)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _run(self) -> None:
        while not self._closing:
            for key, events in self._selector.select(1.0):
                if key.fileobj is self._wake_read:
                    self._wake_read.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, _Side) and key.data in self._sides:
                    self._move(key.data, events)
            while not self._commands.empty():
                command, done = self._commands.get()
                command()
                done.set()
        self._cut()
        self._selector.close()
        for sock in (self._holder, self._wake_read, self._wake_write):
            sock.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept() if self._listener is not None else (None, None)
        except OSError:
            return
        if client is None:
            return
        self.accepted += 1
        try:
            server = socket.create_connection(("127.0.0.1", self._target_port), timeout=1.0)
        except OSError:
            _reset(client)
            return
        ends = _Side(client), _Side(server)
        ends[0].other, ends[1].other = ends[1], ends[0]
        for side in ends:
            side.sock.setblocking(False)
            side.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sides.append(side)
            self._selector.register(side.sock, selectors.EVENT_READ, side)

    def _move(self, side: _Side, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = side.sock.recv(65_536)
                if self._hole:
                    if not data:  # an end is not forwarded either
                        self._selector.unregister(side.sock)
                        side.ended = True
                    return
                if not data:
                    self._end(side)
                    return
                side.other.out += data
            for end in (side, side.other):
                if end.out and not self._hole:
                    try:
                        del end.out[: end.sock.send(end.out)]
                    except BlockingIOError:
                        continue
        except OSError:
            self._drop(side)
            return
        self._listen_for(side)
        self._listen_for(side.other)

    def _listen_for(self, side: _Side) -> None:
        wanted = selectors.EVENT_READ if len(side.other.out) < BUFFER_BYTES and not side.ended else 0
        wanted |= selectors.EVENT_WRITE if side.out else 0
        known = side.sock.fileno() in self._selector.get_map()
        if wanted and known:
            self._selector.modify(side.sock, wanted, side)
        elif wanted:
            self._selector.register(side.sock, wanted, side)
        elif known:
            self._selector.unregister(side.sock)

    def _end(self, side: _Side) -> None:
        """One side has closed in good order: what it sent before still arrives, then the other is closed too."""
        other = side.other
        try:
            other.sock.settimeout(1.0)
            other.sock.sendall(other.out)
        except OSError:
            pass
        for each in (side, other):
            self._forget(each)
            each.sock.close()

    def _drop(self, side: _Side) -> None:
        for each in (side, side.other):
            self._forget(each)
            _reset(each.sock)

    def _forget(self, side: _Side) -> None:
        if side in self._sides:
            self._sides.remove(side)
        if side.sock.fileno() in self._selector.get_map():
            self._selector.unregister(side.sock)

    def _drop_all(self) -> None:
        while self._sides:
            self._drop(self._sides[0])


def _reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    sock.close()


@contextmanager
def tcp_link(target_port: int) -> Iterator[TcpLink]:
    link = TcpLink(target_port)
    try:
        yield link
    finally:
        link.close()
