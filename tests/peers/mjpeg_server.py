"""An HTTP camera on a loopback port: multipart JPEG, as cheap network cameras send it.

with MjpegServer() as camera:
    camera.url                 # http://127.0.0.1:PORT/video
    camera.freeze()            # keeps its connections and says nothing any more
    camera.kill()              # closes its connections and its port
With user and password it wants them (HTTP Basic). Each frame is grey, its level the frame's number times 8 (modulo 256).
"""

import base64
import contextlib
import socket
import threading
from typing import Self

import cv2
import numpy as np

_END = b"\r\n"


class MjpegServer:
    def __init__(self, user: str | None = None, password: str = "", rate_hz: float = 50.0, port: int = 0) -> None:
        self._credentials = None if user is None else base64.b64encode(f"{user}:{password}".encode()).decode()
        self._period_s = 1 / rate_hz
        self._stop = threading.Event()
        self._frozen = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/video"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def freeze(self) -> None:
        self._frozen.set()

    def kill(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5.0)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2.0)
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(4096)
                if not data:
                    return
                request += data
            if self._credentials is not None and f"Basic {self._credentials}".encode() not in request:
                connection.sendall(
                    b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
                )
                return
            if not request.startswith(b"GET /video"):
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            number = 0
            while not self._stop.wait(self._period_s):
                if self._frozen.is_set():
                    continue
                picture = np.full((48, 64, 3), number * 8 % 256, np.uint8)
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
                connection.sendall(head + data + _END)
                number += 1
