"""A network camera on a loopback port: RTSP 1.0 (RFC 2326), JPEG over RTP (RFC 2435) in the same TCP connection.

with RtspServer(user="viewer", password="word", schemes=("Digest", "Basic")) as camera:
    camera.url                 # rtsp://127.0.0.1:PORT/stream1
    camera.freeze()            # keeps its connections and says nothing any more; halfway: in the middle of a picture
    camera.end()               # its streams end in good order: RTCP BYE, then the connection is closed; new ones go on
    camera.kill()              # closes its connections and its port
    camera.requests            # methods that were answered with 200, in order
    camera.connections         # how many it has taken
    camera.sent                # number of the newest picture that went out whole, on any connection

One thread a connection. Each connection's pictures are numbered from 0; a picture's grey level is `level(number)` on average, under a noise
that gives it some ten fragments. `number_of(pixels)` is the number modulo 26; it fails on a picture of which parts belong to others.
"""

import base64
import contextlib
import functools
import hashlib
import re
import select
import socket
import struct
import threading
import time
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from peers import rtp_jpeg

LEVELS = 26
REALM = "camera"
_NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c0"
_SOURCE = 0x0E1D2C3B
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_SAMPLINGS = {"4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420, "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422}
_REASONS = {401: "Unauthorized", 404: "Not Found", 454: "Session Not Found", 461: "Unsupported Transport", 501: "Not Implemented"}  # fmt: skip
_LONGEST_WAIT_S = 0.02


def level(number: int) -> int:
    return 24 + number % LEVELS * 8


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Of one whole picture, modulo `LEVELS`."""
    means = [float(part.mean()) for part in np.array_split(pixels, 4)]
    numbers = {round((mean - level(0)) / 8) for mean in means}
    assert len(numbers) == 1, f"parts of several pictures: {means}"
    return numbers.pop()


@functools.cache
def jpegs(sampling: str = "4:2:0", width_px: int = 320, height_px: int = 240) -> list[bytes]:
    """The pictures 0 to 25."""
    noise = np.random.default_rng(1).integers(-16, 17, (height_px, width_px, 3))
    options = [cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLINGS[sampling]]
    return [
        cv2.imencode(".jpg", (level(number) + noise).astype(np.uint8), options)[1].tobytes() for number in range(LEVELS)
    ]


class RtspServer:
    """session_s: what it says after how long without a request it ends a session; it does."""

    def __init__(self, *, user: str | None = None, password: str = "", schemes: tuple[str, ...] = ("Digest",), rate_hz: float = 50.0,
                 port: int = 0, path: str = "/stream1", sampling: str = "4:2:0", session_s: int = 60) -> None:  # fmt: skip
        self.user, self.password, self.schemes = user, password, schemes
        self.path, self.period_s, self.session_s = path, 1 / rate_hz, session_s
        self.pictures = [rtp_jpeg.parse(jpeg) for jpeg in jpegs(sampling)]
        self.requests: list[str] = []
        self.sent = -1
        self.stop, self.frozen, self.halfway = (threading.Event() for _ in range(3))
        self.connections = self.ends = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}{path}"
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def freeze(self, *, halfway: bool = False) -> None:
        (self.halfway if halfway else self.frozen).set()

    def end(self) -> None:
        self.ends += 1

    def kill(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(5.0)
        self._listener.close()

    def _accept(self) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()
        self._listener.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2.0)
            _Connection(self, connection).run()


class _Connection:
    def __init__(self, server: RtspServer, connection: socket.socket) -> None:
        self._server, self._connection = server, connection
        self._input = b""
        self._number = self._sequence = 0
        self._ends = server.ends
        self._heard_s = self._due_s = time.monotonic()
        self._set_up = self._playing = self._over = False

    def run(self) -> None:
        """Until one side ends it. OSError when the other side is gone."""
        server = self._server
        while not self._over and not server.stop.is_set():
            if server.frozen.is_set():
                server.stop.wait(_LONGEST_WAIT_S)
                continue
            wait_s = self._due_s - time.monotonic() if self._playing else _LONGEST_WAIT_S
            if select.select([self._connection], [], [], min(_LONGEST_WAIT_S, max(0.0, wait_s)))[0]:
                data = self._connection.recv(65536)
                self._over = not data
                self._take(data)
            if self._playing and not self._over:
                self._stream()

    def _stream(self) -> None:
        now_s = time.monotonic()
        if self._server.ends > self._ends:
            self._send(1, rtp_jpeg.goodbye(_SOURCE))
            self._over = True
        elif now_s - self._heard_s > self._server.session_s:
            self._over = True
        elif now_s >= self._due_s:
            self._send_picture()
            self._due_s = max(self._due_s + self._server.period_s, now_s)

    def _send_picture(self) -> None:
        found = rtp_jpeg.packets(
            self._server.pictures[self._number % LEVELS],
            sequence=self._sequence,
            timestamp=round(self._number * self._server.period_s * rtp_jpeg.CLOCK_HZ),
            source=_SOURCE,
        )
        if self._server.halfway.is_set():
            self._send(0, *found[: len(found) // 2])
            self._server.frozen.set()
            return
        self._send(0, *found)
        self._sequence += len(found)
        self._server.sent = self._number
        self._number += 1

    def _send(self, channel: int, *found: bytes) -> None:
        self._connection.sendall(b"".join(struct.pack(">cBH", b"$", channel, len(packet)) + packet for packet in found))

    def _take(self, data: bytes) -> None:
        self._input += data
        while self._input:
            if self._input[:1] == b"$":  # the receiver's RTCP
                length = 4 + int.from_bytes(self._input[2:4], "big")
                if len(self._input) < max(4, length):
                    return
                self._input = self._input[length:]
                continue
            head, end, rest = self._input.partition(b"\r\n\r\n")
            length = int(_header(head.decode(), "Content-Length") or 0)
            if not end or len(rest) < length:
                return
            self._input = rest[length:]
            self._heard_s = time.monotonic()
            self._answer(head.decode())

    def _answer(self, head: str) -> None:
        method, url, _ = head.split("\r\n")[0].split(" ", 2)
        status, headers, body = self._judge(method, url, head)
        lines = [f"RTSP/1.0 {status} {_REASONS.get(status, 'OK')}", f"CSeq: {_header(head, 'CSeq')}", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self._connection.sendall("\r\n".join([*lines, "", body]).encode())
        if status == 200:
            self._server.requests.append(method)
            if method == "PLAY":
                self._playing, self._due_s = True, time.monotonic()
            self._over = method == "TEARDOWN"

    def _judge(self, method: str, url: str, head: str) -> tuple[int, list[str], str]:
        """(status, headers, body)."""
        server = self._server
        session = f"Session: 00c0ffee;timeout={server.session_s}"
        if method not in _METHODS.split(", "):
            return 501, [], ""
        if method == "OPTIONS":
            return 200, [f"Public: {_METHODS}"], ""
        if server.user is not None and not self._authorised(method, url, _header(head, "Authorization")):
            return 401, [_challenge(scheme) for scheme in server.schemes], ""
        path = re.sub(r"^rtsp://[^/]*", "", url).rstrip("/").removesuffix("/track1")
        if path != server.path:
            return 404, [], ""
        if method == "DESCRIBE":
            return 200, ["Content-Type: application/sdp", f"Content-Base: {server.url}/"], _description(server)
        if method == "SETUP":
            if "RTP/AVP/TCP" not in _header(head, "Transport"):
                return 461, [], ""
            self._set_up = True
            return 200, [session, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"], ""
        return (200, [session], "") if self._set_up else (454, [], "")

    def _authorised(self, method: str, url: str, given: str) -> bool:
        server = self._server
        scheme, _, rest = given.partition(" ")
        if scheme not in server.schemes:
            return False
        if scheme == "Basic":
            return rest == base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
        values = dict(re.findall(r'(\w+)="?([^",]*)"?', rest))
        expected = _md5(_md5(server.user, REALM, server.password), _NONCE, _md5(method, url))
        return (values.get("username"), values.get("uri"), values.get("response")) == (server.user, url, expected)


def _md5(*words: str | None) -> str:
    return hashlib.md5(":".join(map(str, words)).encode()).hexdigest()


def _challenge(scheme: str) -> str:
    """Of Digest in its first form (RFC 2069), which most cameras ask for."""
    return f'WWW-Authenticate: {scheme} realm="{REALM}"' + (f', nonce="{_NONCE}"' if scheme == "Digest" else "")


def _description(server: RtspServer) -> str:
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*",
             f"m=video 0 RTP/AVP {rtp_jpeg.PAYLOAD_TYPE}", f"a=framerate:{1 / server.period_s:g}", "a=control:track1"]  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines)


def _header(head: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}:[ \t]*(.*?)\r?$", head)
    return found.group(1) if found else ""
