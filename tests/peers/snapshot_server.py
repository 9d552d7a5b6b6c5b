"""An HTTP camera on a loopback port that answers each request with one JPEG.

with SnapshotServer(user="viewer", password="word", scheme="Digest") as camera:
    camera.url                 # http://127.0.0.1:PORT/picture.jpg
    camera.behaviour = "stuck" # the same picture again; others: "drip" (never ends), "page" (no JPEG), "cut" (breaks off), "huge", "silent", "moved"
    camera.asked               # statuses of its answers, in order
    camera.pictures            # the JPEGs that it gave, in order
"""

import base64
import contextlib
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import cv2
import numpy as np

_NONCE, _REALM = "dcd98b7102dd2f0e8b11d0f600bfb0c0", "camera"


class SnapshotServer:
    def __init__(self, user: str | None = None, password: str = "", scheme: str = "Basic", *, qop: bool = True) -> None:
        self.user, self.password, self.scheme, self.qop = user, password, scheme, qop
        self.behaviour = "new"
        self.asked: list[int] = []
        self.pictures: list[bytes] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_port}/picture.jpg"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10.0)

    def picture(self) -> bytes:
        if self.behaviour != "stuck" or not self.pictures:
            noise = np.random.default_rng(len(self.pictures)).integers(0, 255, (48, 64, 3), np.uint8)
            self.pictures.append(cv2.imencode(".jpg", noise)[1].tobytes())
        return self.pictures[-1]

    def allows(self, given: str) -> bool:
        if self.user is None:
            return True
        if self.scheme == "Basic":
            return given == "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        values = dict(re.findall(r'(\w+)="?([^",]*)"?', given))
        middle = [values.get(key, "") for key in ("nc", "cnonce", "qop")] if self.qop else []
        uri = _md5("GET", "/picture.jpg")
        expected = _md5(_md5(self.user, _REALM, self.password), _NONCE, *middle, uri)
        return values.get("username") == self.user and values.get("response") == expected

    def challenge(self) -> str:
        rest = f', nonce="{_NONCE}"' + ', qop="auth"' * self.qop if self.scheme == "Digest" else ""
        return f'{self.scheme} realm="{_REALM}"{rest}'

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10.0

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                if camera.behaviour == "silent":
                    camera.over.wait(10.0)
                    self.close_connection = True
                    return
                if not camera.allows(self.headers.get("Authorization", "")):
                    self.head(401, "text/html", 7, {"WWW-Authenticate": camera.challenge()})
                    self.wfile.write(b"refused")
                elif self.path != "/picture.jpg":
                    self.head(404, "text/html", 0)
                elif camera.behaviour == "moved":
                    self.head(302, "text/html", 0, {"Location": "file:///etc/passwd"})
                else:
                    self.give()

            def give(self) -> None:
                data = b"<html>log in</html>" if camera.behaviour == "page" else camera.picture()
                length = {"huge": 10**9, "drip": 10**6, "cut": len(data) + 100}.get(camera.behaviour, len(data))
                self.head(200, "image/jpeg", length)
                self.wfile.write(data)
                self.close_connection |= camera.behaviour == "cut"
                while camera.behaviour == "drip" and not camera.over.wait(0.05):
                    self.wfile.write(b"\0")
                while camera.behaviour == "huge" and not camera.over.is_set():
                    self.wfile.write(bytes(2**20))

            def head(self, status: int, kind: str, length: int, headers: dict[str, str] | None = None) -> None:
                camera.asked.append(status)
                self.send_response(status)
                for name, value in {"Content-Type": kind, "Content-Length": str(length), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _md5(*words: str) -> str:
    return hashlib.md5(":".join(words).encode()).hexdigest()
