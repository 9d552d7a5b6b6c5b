"""Bytes as the SIM counts them: at the network interface, both directions, from /proc/net/dev.

Where other programs share the interface, or it is the loopback or unknown, the agent's own connection is counted instead: what TCP says of
the socket (TCP_INFO, retransmissions and attempts that fail included) plus the headers of each segment, plus a fixed price for looking up the
name and for the packets that close a connection. The first is `measured`, the second `estimated`.
"""

import array
import fcntl
import socket
import struct
from pathlib import Path
from typing import Literal, NamedTuple

from agent.sync import wire

How = Literal["measured", "estimated"]

# struct tcp_info of Linux: options 5; bytes_acked 120, bytes_received 128, segs_out 136, segs_in 140, bytes_sent 200 (since 4.19).
_TCP_INFO_BYTES = 256
_TIMESTAMPS = 1
_SIOCGIFADDR = 0x8915


class Passed(NamedTuple):
    """Bytes, both from 0 at some beginning that does not move while they only grow."""

    sent: int
    received: int

    def since(self, before: "Passed") -> "Passed":
        """What was added. A counter that fell began anew: the interface was gone, or the counter is 32 bits wide and wrapped."""
        return Passed(_grown(before.sent, self.sent), _grown(before.received, self.received))


def _grown(before: int, now: int) -> int:
    if now >= before:
        return now - before
    if before > 0xF000_0000 and before <= 0xFFFF_FFFF and now < 0x1000_0000:
        return now + (1 << 32) - before
    return now


class Meter:
    """Of one sync thread. interface: its name, None for the one that leads to the broker. shared: other programs use it too."""

    def __init__(self, interface: str | None, *, shared: bool, proc: Path = Path("/proc")) -> None:
        self._named = interface
        self._shared = shared
        self._dev = proc / "net" / "dev"
        self._route = proc / "net" / "route"
        self._socket: socket.socket | None = None
        self._socket_passed = Passed(0, 0)
        self._before: tuple[str, Passed] | None = None  # the counted interface and where it stood
        self._owed = [0, 0]  # of look-ups and of connections that have ended
        self.leads_over: str | None = None  # the interface of the connection, or of the default route

    @property
    def interface(self) -> str | None:
        """Whose counters are read; None where the own connection is counted."""
        if self._shared:
            return None
        name = self._named or self.leads_over
        return None if name in (None, "lo") else name

    @property
    def how(self) -> How:
        return "estimated" if self.interface is None or self.counters() is None else "measured"

    def counters(self) -> Passed | None:
        """Where the counted interface stands now; None where there is none (it may come back: a modem that was pulled)."""
        name = self.interface
        return None if name is None else interface_counters(self._dev, name)

    def look_for_route(self) -> None:
        """Before a connection: over which interface it would go."""
        if self._socket is None:
            self.leads_over = default_interface(self._route) or self.leads_over

    def looked_up(self) -> None:
        """A name was asked for: the question and the answer."""
        self._owed[0] += wire.LOOKUP_BYTES // 2
        self._owed[1] += wire.LOOKUP_BYTES // 2

    def opened(self, link: socket.socket) -> None:
        """A connection begins: counted from its first packet. Again with what wraps it, TLS: the count goes on."""
        self._socket = link

    def connected(self) -> None:
        """It stands: it has the address of the interface that it goes over."""
        if self._socket is not None:
            self.leads_over = interface_of(self._socket) or self.leads_over

    def ended(self) -> None:
        """To be called before the socket is closed. What TCP had not sent yet may still go: it counts."""
        if self._socket is not None:
            passed = tcp_passed(self._socket).since(self._socket_passed)
            self._owed[0] += passed.sent + tcp_unsent(self._socket) + wire.CLOSE_BYTES // 2
            self._owed[1] += passed.received + wire.CLOSE_BYTES // 2
        self._socket = None
        self._socket_passed = Passed(0, 0)

    def since(self, interface: str, passed: Passed) -> Passed | None:
        """What went over that interface since it was last counted, in an earlier run in this boot; None when it cannot be said."""
        now = interface_counters(self._dev, interface)
        if now is None:
            return None
        self._before = (interface, now)
        return now.since(passed)

    @property
    def taken(self) -> tuple[str | None, tuple[int, int]]:
        """The interface that is counted, and where it stood at the last `take`; None where there is none."""
        if self._before is None or self._before[0] != self.interface:
            return None, (0, 0)
        return self._before[0], (self._before[1].sent, self._before[1].received)

    def take(self) -> Passed:
        """What passed since the last call."""
        own = self._take_own()
        name, now = self.interface, self.counters()
        if name is None or now is None:
            return own
        before, self._before = self._before, (name, now)
        if before is None or before[0] != name:
            # The first look at this interface: what it carried before is not known to be ours, the connection is.
            return own
        return now.since(before[1])

    def _take_own(self) -> Passed:
        sent, received = self._owed
        self._owed = [0, 0]
        if self._socket is not None:
            now = tcp_passed(self._socket)
            passed, self._socket_passed = now.since(self._socket_passed), now
            sent, received = sent + passed.sent, received + passed.received
        return Passed(sent, received)


def interface_counters(path: Path, name: str) -> Passed | None:
    """Of /proc/net/dev; None when the interface is not there."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        found, colon, rest = line.partition(":")
        if colon and found.strip() == name:
            fields = rest.split()
            return Passed(sent=int(fields[8]), received=int(fields[0]))
    return None


def default_interface(path: Path) -> str | None:
    """The interface of the default route with the least metric, of /proc/net/route."""
    try:
        rows = [line.split() for line in path.read_text().splitlines()[1:]]
    except OSError:
        return None
    found = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000"]
    return min(found)[1] if found else None


def interface_of(connected: socket.socket) -> str | None:
    """The interface that has the socket's own address."""
    try:
        own = connected.getsockname()[0].partition("%")[0]
        own = own.removeprefix("::ffff:")
        if ":" in own:
            return _interface_of_ipv6(own)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            for _, name in socket.if_nameindex():
                if _ipv4_of(asking, name) == own:
                    return name
    except OSError:
        return None
    return None


def _ipv4_of(asking: socket.socket, name: str) -> str | None:
    try:
        answer = fcntl.ioctl(asking.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
    except OSError:  # an interface without an address
        return None
    return socket.inet_ntoa(answer[20:24])


def _interface_of_ipv6(own: str) -> str | None:
    wanted = socket.inet_pton(socket.AF_INET6, own).hex()
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        fields = line.split()
        if fields and fields[0] == wanted:
            return fields[-1]
    return None


def tcp_passed(connected: socket.socket) -> Passed:
    """Bytes of a TCP connection so far with their headers, retransmissions included."""
    info = _tcp_info(connected)
    if info is None or len(info) < 144:
        return Passed(0, 0)
    header = wire.SEGMENT_IPV6_BYTES if _is_ipv6(connected) else wire.SEGMENT_BYTES
    if not info[5] & _TIMESTAMPS:
        header -= 12
    segments_out, segments_in = struct.unpack_from("=II", info, 136)
    received = struct.unpack_from("=Q", info, 128)[0]
    # Kernels before 4.19 tell only what was acknowledged.
    sent = struct.unpack_from("=Q", info, 200 if len(info) >= 208 else 120)[0]
    return Passed(sent + segments_out * header, received + segments_in * header)


def tcp_unsent(connected: socket.socket) -> int:
    """Bytes that the kernel still holds to send, acknowledged ones not."""
    try:
        found = array.array("i", [0])
        fcntl.ioctl(connected.fileno(), 0x5411, found)  # SIOCOUTQ
        return found[0]
    except (OSError, ValueError):  # ValueError: it is closed
        return 0


def _tcp_info(connected: socket.socket) -> bytes | None:
    try:
        return connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:
        return None


def _is_ipv6(connected: socket.socket) -> bool:
    try:
        own = connected.getsockname()[0]
    except OSError:
        return False
    return ":" in own and not own.startswith("::ffff:")
