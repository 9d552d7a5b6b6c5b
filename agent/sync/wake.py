"""Wakes a thread that waits on sockets: a socketpair whose one end lies in its poll."""

import socket
from types import TracebackType
from typing import Self


class Wake:
    """`set` may be called by any thread, also a store's; the waiting thread polls `fileno()` and calls `clear`."""

    def __init__(self) -> None:
        self._take, self._give = socket.socketpair()
        self._take.setblocking(False)
        self._give.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._take.close()
        self._give.close()

    def fileno(self) -> int:
        return self._take.fileno()

    def set(self) -> None:
        try:
            self._give.send(b"!")
        except OSError:
            return  # full: it is awake already; closed: nobody waits any more

    def clear(self) -> None:
        try:
            while self._take.recv(4096):
                pass
        except OSError:
            return
