"""MQTT control packets as bytes: read and checked as the standard defines them (MQTT 5.0, 2.1, 2.2.2; OASIS, 2019), for the brokers of the tests."""

from collections.abc import Mapping
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14
# Packets whose flags are fixed: kind → flags.
_FLAGS = {CONNECT: 0, PUBACK: 0, SUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}
# number → name, how it is written, packets that may carry it (2.2.2.2).
_PROPERTIES: dict[int, tuple[str, str, tuple[str, ...]]] = {
    0x01: ("payload_format", "byte", ("PUBLISH", "will")),
    0x02: ("expiry_s", "long", ("PUBLISH", "will")),
    0x03: ("content_type", "text", ("PUBLISH", "will")),
    0x08: ("response", "text", ("PUBLISH", "will")),
    0x09: ("correlation", "binary", ("PUBLISH", "will")),
    0x0B: ("subscription", "variable", ("SUBSCRIBE",)),
    0x11: ("session_expiry_s", "long", ("CONNECT", "CONNACK")),
    0x13: ("keepalive_s", "short", ("CONNACK",)),
    0x18: ("will_delay_s", "long", ("will",)),
    0x21: ("receive_maximum", "short", ("CONNECT", "CONNACK")),
    0x22: ("topic_aliases", "short", ("CONNECT", "CONNACK")),
    0x23: ("topic_alias", "short", ("PUBLISH",)),
    0x24: ("qos", "byte", ("CONNACK",)),
    0x25: ("retain", "byte", ("CONNACK",)),
    0x26: ("user", "pair", ("CONNECT", "PUBLISH", "SUBSCRIBE", "will")),
    0x27: ("packet_bytes", "long", ("CONNECT", "CONNACK")),
    0x28: ("wildcards", "byte", ("CONNACK",)),
}
_NUMBERS = {name: (number, how) for number, (name, how, _) in _PROPERTIES.items()}


class Malformed(Exception):
    """The standard does not allow these bytes."""


class Packet(NamedTuple):
    """size: all of it, fixed header included."""

    kind: int
    flags: int
    body: bytes
    size: int


def packet(kind: int, flags: int, body: bytes) -> bytes:
    return bytes([kind << 4 | flags]) + _variable(len(body)) + body


def read_packet(data: bytes) -> tuple[Packet, bytes] | None:
    """The first packet and what follows it; None while it is not whole."""
    if len(data) < 2:
        return None
    length = shift = 0
    for place, byte in enumerate(data[1:5], 1):
        length |= (byte & 127) << shift
        shift += 7
        if not byte & 128:
            if place > 1 and byte == 0:
                raise Malformed("a length with more bytes than needed (1.5.5)")
            break
    else:
        if len(data) >= 5:
            raise Malformed("a length of more than four bytes (1.5.5)")
        return None
    end = place + 1 + length
    if len(data) < end:
        return None
    kind, flags = data[0] >> 4, data[0] & 15
    if flags != _FLAGS.get(kind, flags):
        raise Malformed(f"flags {flags:04b} of packet kind {kind} (2.1.3)")
    if kind == PUBLISH and flags & 6 == 6:
        raise Malformed("QoS 3 (3.3.1.2)")
    return Packet(kind, flags, data[place + 1 : end], end), data[end:]


class Reader:
    """The body of a packet, from its start. Malformed: it is too short, or has more than it should."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, count: int) -> bytes:
        if self.left < count:
            raise Malformed("the packet ends too early")
        self._at += count
        return self._body[self._at - count : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def short(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.short())

    def text(self) -> str:
        """Strict UTF-8 without NUL (1.5.4)."""
        text = self.binary().decode("utf-8", "strict")
        if "\0" in text:
            raise Malformed("NUL in a string (1.5.4)")
        return text

    def rest(self) -> bytes:
        return self._body[self._at :]

    def end(self) -> None:
        if self.left:
            raise Malformed(f"{self.left} bytes too many")

    def properties(self, where: str) -> dict[str, object]:
        """where: CONNECT, PUBLISH, SUBSCRIBE or will. Each at most once, and only where it may be (2.2.2.2)."""
        inner, found = Reader(self.take(self._length())), dict[str, object]()
        while inner.left:
            number = inner.byte()
            name, how, places = _PROPERTIES.get(number, ("", "", ()))
            if where not in places:
                raise Malformed(f"property 0x{number:02X} in {where} (2.2.2.2)")
            if name in found and name != "user":
                raise Malformed(f"property 0x{number:02X} twice (2.2.2.2)")
            found[name] = inner._value(how)
        return found

    def _length(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if not byte & 128:
                return value

    def _value(self, how: str) -> object:
        sizes = {"byte": 1, "short": 2, "long": 4}
        if how in sizes:
            return int.from_bytes(self.take(sizes[how]), "big")
        if how == "variable":
            return self._length()
        if how == "binary":
            return self.binary()
        return (self.text(), self.text()) if how == "pair" else self.text()


def properties(**values: object) -> bytes:
    """Their block with its length. What is None or empty is left out."""
    found = b"".join(
        _property(*_NUMBERS[name], value) for name, value in values.items() if value not in (None, "", b"")
    )
    return _variable(len(found)) + found


def _property(number: int, how: str, value: object) -> bytes:
    sizes: Mapping[str, int] = {"byte": 1, "short": 2, "long": 4}
    if isinstance(value, int):
        return bytes([number]) + value.to_bytes(sizes[how], "big")
    raw = value.encode() if isinstance(value, str) else value
    assert isinstance(raw, bytes)
    return bytes([number]) + len(raw).to_bytes(2, "big") + raw


def _variable(length: int) -> bytes:
    out = bytearray()
    while True:
        length, low = length >> 7, length & 127
        out.append(low | (128 if length else 0))
        if not length:
            return bytes(out)
