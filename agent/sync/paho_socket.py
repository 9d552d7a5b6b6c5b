"""The socket as paho gets it: thin, with counters of what passed and the error that ended it (paho drops both), and with few calls of the system."""

import socket
import ssl
from typing import Protocol

# As much as one TLS record holds.
_GATHERED_BYTES = 16_384
_READ_BYTES = 4_096


class Counter(Protocol):
    """Who counts what a connection costs (metering.py), from the first packet to the last."""

    def looked_up(self) -> None:
        """A name was asked for."""

    def opened(self, link: socket.socket) -> None:
        """A socket that connects; again with what wraps it."""

    def ended(self) -> None:
        """It will be closed next, or was never connected."""


class _Uncounted:
    def looked_up(self) -> None: ...
    def opened(self, link: socket.socket) -> None: ...
    def ended(self) -> None: ...


UNCOUNTED: Counter = _Uncounted()


class Link:
    """A connected socket as paho wants one, with counters of what passed (bytes, TLS not included).

    paho reads byte by byte: it is given what one call of the system brought. What is sent is gathered until `flush`: messages that go at one
    moment go in one segment and one TLS record. Each for itself would cost 52 bytes more on the link, as much again for the answer, and a call.
    """

    def __init__(self, inner: socket.socket | ssl.SSLSocket, counter: Counter = UNCOUNTED) -> None:
        self.inner = inner
        self._counter = counter
        self.received_bytes = 0
        self.sent_bytes = 0
        self.error: OSError | None = None
        self._kept = bytearray()
        self._read = b""

    def recv(self, size: int) -> bytes:
        if not self._read:
            self._read = self._receive(max(size, _READ_BYTES))
        data, self._read = self._read[:size], self._read[size:]
        return data

    def _receive(self, size: int) -> bytes:
        try:
            data = self.inner.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if self.error is not None:  # of `flush`
                raise self.error from None
            raise
        except OSError as error:
            self.error = self.error or error
            raise self.error from None
        self.received_bytes += len(data)
        return data

    def send(self, data: bytes) -> int:
        """Keeps it for `flush`. BlockingIOError: there is much already that the socket does not take."""
        if len(self._kept) >= _GATHERED_BYTES:
            self.flush()
            if len(self._kept) >= _GATHERED_BYTES:
                raise BlockingIOError
        self._kept += data
        return len(data)

    def flush(self) -> None:
        """Gives the socket what it takes of what was sent since the last time. What breaks it is met, and told, by the next `recv`."""
        while self._kept:
            try:
                count = self.inner.send(self._kept)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                self.error = self._alert() or error
                self._kept.clear()
                return
            del self._kept[:count]
            self.sent_bytes += count

    @property
    def waits(self) -> bool:
        """Something is kept."""
        return bool(self._kept)

    def _alert(self) -> OSError | None:
        """What the other side said before it hung up: in TLS 1.3 a refused certificate shows only after the handshake."""
        if isinstance(self.inner, ssl.SSLSocket):
            try:
                self.inner.recv(1)
            except ssl.SSLError as error:
                return error if "ALERT" in (error.reason or "") or "REQUIRED" in (error.reason or "") else None
            except OSError:
                return None
        return None

    def certificate_until_s(self) -> float | None:
        """Until when the other side's certificate is valid, seconds since 1970; None without TLS."""
        shown = self.inner.getpeercert() if isinstance(self.inner, ssl.SSLSocket) else None
        return ssl.cert_time_to_seconds(str(shown["notAfter"])) if shown and "notAfter" in shown else None

    def pending(self) -> int:
        """Bytes that were read from the socket and not given yet: a poll does not see them. Nor does it see what `flush` met."""
        return (
            len(self._read)
            + (self.error is not None)
            + (self.inner.pending() if isinstance(self.inner, ssl.SSLSocket) else 0)
        )

    def fileno(self) -> int:
        return self.inner.fileno()

    def setblocking(self, flag: bool) -> None:
        self.inner.setblocking(flag)

    def close(self) -> None:
        if self.inner.fileno() >= 0:
            self.flush()  # paho closes right after DISCONNECT
            self._counter.ended()
        self.inner.close()
