"""A broker's side of MQTT 5 and 3.1.1 that holds a client to every rule of the standard that concerns it, and to the limits of managed brokers.

with strict_broker(Grants(receive_maximum=3, packet_bytes=20_000)) as broker:
    ...                                    # a client at broker.url
    broker.request("edge/v1/farm/gate/cmd/ping", b"{…}", response="…", expiry_s=60)
broker.broken                              # sentences: the rule, and what broke it; leaving the `with` asserts that there are none
broker.payloads["edge/v1/farm/gate/ledger"]
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
from peers.mqtt_packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Malformed,
    Packet,
    Reader,
    packet,
    properties,
    read_packet,
)

STEP_S = 0.02
# Of managed brokers (AWS IoT Core): slashes in a topic, bytes of a payload, filters of one SUBSCRIBE.
MOST_SLASHES, MOST_PAYLOAD_BYTES, MOST_FILTERS = 7, 131_072, 8


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What CONNACK says; the standard's defaults. None: not said."""

    receive_maximum: int | None = None
    packet_bytes: int | None = None
    topic_aliases: int | None = None
    qos: int | None = None
    retain: bool = True
    wildcards: bool = True
    session_expiry_s: int | None = None
    keepalive_s: int | None = None


class StrictBroker:
    """hold: so many PUBACKs are kept back until that many wait, or nothing comes for a moment. code: of each PUBACK, by the topic's last word."""

    def __init__(self, grants: Grants, hold: int, code: dict[str, int]) -> None:
        self.grants, self._hold, self.code = grants, hold, dict(code)
        self.broken: list[str] = []
        self.payloads: dict[str, list[bytes]] = {}
        self.filters: list[list[str]] = []
        self.retained: list[str] = []
        self.connects: list[tuple[int, int, bool]] = []  # level, keepalive, whether the will is retained
        self.most_outstanding = self.pings = 0
        self._lock = threading.Lock()
        self._asked: list[bytes] = []
        self._ids = Counter[str]()
        self._stop = threading.Event()
        self._cut = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(STEP_S)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="strict broker")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def request(
        self,
        topic: str,
        payload: bytes,
        *,
        level: int = 5,
        expiry_s: int = 60,
        response: str = "",
        correlation: bytes = b"",
    ) -> None:
        """A message to the client."""
        words = properties(expiry_s=expiry_s, response=response, correlation=correlation) if level == 5 else b""
        with self._lock:
            self._ids["request"] += 1
            head = len(topic).to_bytes(2, "big") + topic.encode() + self._ids["request"].to_bytes(2, "big")
            self._asked.append(packet(PUBLISH, 0b0010, head + words + payload))

    def cut(self) -> None:
        """Ends the connection that there is."""
        self._cut.set()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._listener.close()

    def _break(self, rule: str, what: object = "") -> None:
        with self._lock:
            self.broken.append(f"{rule}: {what}" if what else rule)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            with client:
                client.settimeout(STEP_S)
                self._cut.clear()
                with suppress(OSError):
                    _Session(self, client).run()


class _Session:
    """One connection."""

    def __init__(self, broker: StrictBroker, client: socket.socket) -> None:
        self.broker, self.client = broker, client
        self.level = 5
        self.keepalive_s = 0
        self.aliases: dict[int, str] = {}
        self.waiting: dict[int, str] = {}  # packet id → topic, without PUBACK
        self.ended = False

    def run(self) -> None:
        broker, data, heard_s, busy_s = self.broker, b"", time.monotonic(), time.monotonic()
        first = True
        while not broker._stop.is_set() and not broker._cut.is_set() and not self.ended:
            self._deliver()
            try:
                more = self.client.recv(65_536)
                if not more:
                    break
                data, heard_s, busy_s = data + more, time.monotonic(), time.monotonic()
            except TimeoutError:
                now_s = time.monotonic()
                if self.keepalive_s and now_s - heard_s > 1.5 * self.keepalive_s + 1:
                    broker._break("keepalive is kept (3.1.2.10)", f"silent for {now_s - heard_s:.1f} s")
                    return
                if self.waiting and now_s - busy_s > 2 * STEP_S:
                    self._acknowledge()
            try:
                while (found := read_packet(data)) is not None:
                    one, data = found
                    if first != (one.kind == CONNECT):
                        broker._break("CONNECT is the first packet and comes once (3.1.0)", one.kind)
                        return
                    first = False
                    self._take(one)
            except (Malformed, UnicodeDecodeError) as error:
                broker._break("packets are well formed", error)
                return
            if len(self.waiting) >= broker._hold:
                self._acknowledge()
        if data and not broker._stop.is_set() and not broker._cut.is_set():
            broker._break("nothing follows DISCONNECT, and packets are whole (3.14)", data[:20])

    def _take(self, one: Packet) -> None:
        broker, grants = self.broker, self.broker.grants
        if (
            grants.packet_bytes is not None
            and one.size > grants.packet_bytes
            and one.kind != CONNECT
            and self.level == 5
        ):
            broker._break(
                "no packet is larger than the maximum packet size (3.2.2.3.6)", f"{one.size} bytes, kind {one.kind}"
            )
        if one.kind == CONNECT:
            self._connect(one)
        elif one.kind == PUBLISH:
            self._publish(one)
        elif one.kind == SUBSCRIBE:
            self._subscribe(one)
        elif one.kind == PINGREQ:
            broker.pings += 1
            self.client.sendall(packet(PINGRESP, 0, b""))
        elif one.kind == DISCONNECT:
            self.ended = True
        elif one.kind != PUBACK:
            broker._break("a client sends what a client may send", one.kind)

    def _connect(self, one: Packet) -> None:
        broker, grants, body = self.broker, self.broker.grants, Reader(one.body)
        if body.text() != "MQTT":
            raise Malformed("protocol name")
        self.level = body.byte()
        flags, keepalive_s = body.byte(), body.short()
        if self.level == 5:
            body.properties("CONNECT")
        client_id = body.text()
        if not client_id or len(client_id) > 128:
            broker._break("a client id has 1 to 128 characters (managed brokers)", client_id)
        if flags & 1:
            broker._break("the reserved flag of CONNECT is 0 (3.1.2.3)")
        will_retain = bool(flags & 0x20)
        if flags & 4:
            if self.level == 5:
                body.properties("will")
            self._check_topic(body.text())
            body.binary()
        for flag in (0x80, 0x40):
            if flags & flag:
                body.binary()
        body.end()
        broker.connects.append((self.level, keepalive_s, will_retain))
        self.keepalive_s = (grants.keepalive_s if self.level == 5 else None) or keepalive_s
        code = 0
        if self.level == 5 and will_retain and not grants.retain:
            code = 0x9A
        elif self.level == 5 and grants.qos is not None and (flags >> 3) & 3 > grants.qos:
            code = 0x9B
        words = self._granted() if self.level == 5 else b""
        self.client.sendall(packet(CONNACK, 0, bytes([0, code]) + words))
        self.ended = code != 0

    def _granted(self) -> bytes:
        grants = self.broker.grants
        return properties(
            receive_maximum=grants.receive_maximum, packet_bytes=grants.packet_bytes, topic_aliases=grants.topic_aliases, qos=grants.qos,
            retain=None if grants.retain else 0, wildcards=None if grants.wildcards else 0, session_expiry_s=grants.session_expiry_s,
            keepalive_s=grants.keepalive_s,
        )  # fmt: skip

    def _publish(self, one: Packet) -> None:
        broker, grants, body = self.broker, self.broker.grants, Reader(one.body)
        duplicate, qos, retain = bool(one.flags & 8), (one.flags >> 1) & 3, bool(one.flags & 1)
        topic = body.text()
        number = body.short() if qos else 0
        alias = None
        if self.level == 5:
            alias = body.properties("PUBLISH").get("topic_alias")
        if alias is not None:
            if not 1 <= int(alias) <= (grants.topic_aliases or 0):
                broker._break("aliases are within the topic alias maximum (3.3.2.3.4)", alias)
            if topic:
                self.aliases[int(alias)] = topic
            topic = self.aliases.get(int(alias), "")
        if not topic:
            broker._break("an empty topic has a known alias (3.3.2.3.4)", alias)
        self._check_topic(topic)
        if duplicate:
            broker._break("DUP is 0 where a packet id is used for the first time in a connection (3.3.1.1)", topic)
        if qos > (1 if grants.qos is None or self.level != 5 else grants.qos):
            broker._break("QoS is within the maximum (3.2.2.3.4)", qos)
        if retain:
            broker.retained.append(topic)
            if not grants.retain and self.level == 5:
                broker._break("nothing is retained where retain is not available (3.2.2.3.5)", topic)
        if len(body.rest()) > MOST_PAYLOAD_BYTES:
            broker._break("a payload has at most 128 kB (managed brokers)", f"{topic} {len(body.rest())}")
        if qos:
            if number == 0 or number in self.waiting:
                broker._break("a packet id is not 0 and not in use (2.2.1)", number)
            self.waiting[number] = topic
            broker.most_outstanding = max(broker.most_outstanding, len(self.waiting))
            if self.level == 5 and len(self.waiting) > (grants.receive_maximum or 65_535):
                broker._break("never more unacknowledged than the receive maximum (3.3.4)", len(self.waiting))
        broker.payloads.setdefault(topic, []).append(body.rest())

    def _subscribe(self, one: Packet) -> None:
        broker, grants, body = self.broker, self.broker.grants, Reader(one.body)
        if one.flags != 2:
            broker._break("the flags of SUBSCRIBE are 0010 (3.8.1)", one.flags)
        number = body.short()
        if self.level == 5:
            body.properties("SUBSCRIBE")
        filters = []
        while body.left:
            filters.append(body.text())
            options = body.byte()
            if options & (0xC0 if self.level == 5 else 0xFC):
                broker._break("reserved options of a subscription are 0 (3.8.3.1)", options)
            if not grants.wildcards and self.level == 5 and set("#+") & set(filters[-1]):
                broker._break("no wildcards where they are not available (3.2.2.3.11)", filters[-1])
        if not 1 <= len(filters) <= MOST_FILTERS:
            broker._break("a SUBSCRIBE has 1 to 8 filters (managed brokers)", len(filters))
        broker.filters.append(filters)
        codes = bytes(broker.code.get(one.rpartition("/")[2], 1) if "cmd" in one else 1 for one in filters)
        words = properties() if self.level == 5 else b""
        self.client.sendall(packet(SUBACK, 0, number.to_bytes(2, "big") + words + codes))

    def _check_topic(self, topic: str) -> None:
        if set("#+\0") & set(topic) or topic.count("/") > MOST_SLASHES or len(topic.encode()) > 256:
            self.broker._break("a topic has no wildcard, at most 7 slashes and 256 bytes (4.7, managed brokers)", topic)

    def _acknowledge(self) -> None:
        for number, topic in list(self.waiting.items()):
            code = self.broker.code.get(topic.rpartition("/")[2], 0) if self.level == 5 else 0
            body = number.to_bytes(2, "big") + (bytes([code, 0]) if code else b"")
            del self.waiting[number]
            self.client.sendall(packet(PUBACK, 0, body))

    def _deliver(self) -> None:
        if not self.broker.filters:
            return
        with self.broker._lock:
            asked, self.broker._asked = self.broker._asked, []
        for one in asked:
            self.client.sendall(one)


@contextmanager
def strict_broker(
    grants: Grants | None = None, *, hold: int = 1, code: dict[str, int] | None = None
) -> Iterator[StrictBroker]:
    broker = StrictBroker(grants or Grants(), hold, code or {})
    try:
        yield broker
    finally:
        broker.close()
    assert not broker.broken, "\n".join(broker.broken[:20])
