"""A broker's side of MQTT 5 that answers as told, for what no real broker can be brought to say: a refused client id, small limits, a take-over.

with scripted_broker(connack(0x85)) as broker:
    broker.port, broker.connects           # bodies of the CONNECT packets that came
    broker.published                       # bodies of the PUBLISH packets that came
scripted_broker(connack(receive_maximum=2), pubacks=False)
scripted_broker(connack(), puback_code=0x97, after_connect=disconnect(0x8E))
scripted_broker(None)                      # takes the connection and says nothing
"""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_RECEIVE_MAXIMUM, _TOPIC_ALIAS_MAXIMUM, _MAXIMUM_PACKET_SIZE = 0x21, 0x22, 0x27
STEP_S = 0.05


def connack(
    code: int = 0,
    *,
    receive_maximum: int | None = None,
    packet_bytes: int | None = None,
    topic_aliases: int | None = None,
) -> bytes:
    """A CONNACK (MQTT 5, 3.2), no session present."""
    properties = b""
    if receive_maximum is not None:
        properties += struct.pack(">BH", _RECEIVE_MAXIMUM, receive_maximum)
    if topic_aliases is not None:
        properties += struct.pack(">BH", _TOPIC_ALIAS_MAXIMUM, topic_aliases)
    if packet_bytes is not None:
        properties += struct.pack(">BI", _MAXIMUM_PACKET_SIZE, packet_bytes)
    body = bytes([0, code, len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


def disconnect(code: int) -> bytes:
    """A DISCONNECT from the server (MQTT 5, 3.14)."""
    return bytes([0xE0, 2, code, 0])


class ScriptedBroker:
    def __init__(
        self, answer: bytes | None, after_connect: bytes, puback_code: int, pubacks: bool, close_after: bool
    ) -> None:
        self._answer = answer
        self._after_connect = after_connect
        self._puback_code = puback_code
        self._pubacks = pubacks
        self._close_after = close_after
        self.connects: list[bytes] = []
        self.published: list[bytes] = []
        self._stop = threading.Event()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(STEP_S)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="scripted broker")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._listener.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(STEP_S)
                try:
                    self._serve(client)
                except OSError:
                    continue

    def _serve(self, client: socket.socket) -> None:
        while (packet := self._packet(client)) is not None:
            kind, body = packet
            if kind >> 4 == 1:
                self.connects.append(body)
                if self._answer is not None:
                    client.sendall(self._answer + self._after_connect)
                if self._close_after or (self._answer is not None and self._answer[3] >= 0x80):
                    return
            elif kind >> 4 == 3:
                self.published.append(body)
                topic_bytes = struct.unpack(">H", body[:2])[0]
                if self._pubacks:
                    client.sendall(
                        bytes([0x40, 4]) + body[2 + topic_bytes : 4 + topic_bytes] + bytes([self._puback_code, 0])
                    )
            elif kind >> 4 == 8:
                client.sendall(bytes([0x90, 4]) + body[:2] + bytes([0, 1]))
            elif kind >> 4 == 12:
                client.sendall(bytes([0xD0, 0]))
            elif kind >> 4 == 14:
                return

    def _packet(self, client: socket.socket) -> tuple[int, bytes] | None:
        first = self._bytes(client, 1)
        if not first:
            return None
        length = shift = 0
        while True:
            size = self._bytes(client, 1)
            if not size:  # the client left in the middle of a packet
                return None
            byte = size[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                body = self._bytes(client, length)
                return (first[0], body) if len(body) == length else None

    def _bytes(self, client: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count and not self._stop.is_set():
            try:
                part = client.recv(count - len(data))
            except TimeoutError:
                continue
            if not part:
                return b""
            data += part
        return data


@contextmanager
def scripted_broker(
    answer: bytes | None,
    *,
    after_connect: bytes = b"",
    puback_code: int = 0,
    pubacks: bool = True,
    close_after: bool = False,
) -> Iterator[ScriptedBroker]:
    """answer: to every CONNECT; None for none. close_after: hangs up after the CONNACK without a word."""
    broker = ScriptedBroker(answer, after_connect, puback_code, pubacks, close_after)
    try:
        yield broker
    finally:
        broker.close()
