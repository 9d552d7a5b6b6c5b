"""TLS in front of a server on this machine, as a camera has it that speaks rtsps.

with TlsFront(server.port, certificate, key) as front:
    front.port
"""

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import Self


class TlsFront:
    def __init__(self, port: int, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10.0)
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._relay, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _relay(self, connection: socket.socket) -> None:
        """One thread, both ways: a TLS connection is not read and written at once."""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5.0)
            with self._context.wrap_socket(connection, server_side=True) as outer, socket.create_connection(("127.0.0.1", self._behind)) as inner:  # fmt: skip
                for end in (outer, inner):
                    end.settimeout(0.005)
                while not self._over.is_set():
                    for source, sink in ((outer, inner), (inner, outer)):
                        with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
                            data = source.recv(65536)
                            if not data:
                                return
                            sink.settimeout(5.0)
                            sink.sendall(data)
                            sink.settimeout(0.005)
