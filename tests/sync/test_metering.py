"""What the agent counts against what the kernel counts: an interface of its own in a network namespace, and its socket."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.sync import metering, wire
from agent.sync.metering import Meter, Passed, default_interface, interface_counters, tcp_passed

DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
 wwan0:{received:>8}      20    0    0    0     0          0         0 {sent:>8}      30    0    0    0     0       0          0
"""
ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t700\t00000000\t0\t0\t0
wwan0\t00000000\t0100000B\t0003\t0\t0\t100\t00000000\t0\t0\t0
wwan0\t0000000B\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
"""
NEW_NETWORK = 0x40000000  # CLONE_NEWNET


def proc(folder: Path, *, received: int, sent: int) -> Path:
    (folder / "net").mkdir(exist_ok=True)
    (folder / "net" / "dev").write_text(DEV.format(received=received, sent=sent))
    (folder / "net" / "route").write_text(ROUTE)
    return folder


def test_an_interface_is_counted_from_the_first_look_on(tmp_path: Path) -> None:
    meter = Meter("wwan0", shared=False, proc=proc(tmp_path, received=500, sent=700))
    assert (meter.interface, meter.how) == ("wwan0", "measured")
    assert meter.take() == Passed(0, 0), "what it carried before is not ours"
    proc(tmp_path, received=800, sent=900)
    assert meter.take() == Passed(sent=200, received=300)
    assert meter.taken == ("wwan0", (900, 800))
    assert Meter("wwan0", shared=False, proc=tmp_path).since("wwan0", Passed(850, 790)) == Passed(50, 10)


def test_a_counter_that_fell_began_anew_and_one_of_32_bits_wraps(tmp_path: Path) -> None:
    meter = Meter("wwan0", shared=False, proc=proc(tmp_path, received=5_000, sent=0xFFFF_FF00))
    meter.take()
    proc(tmp_path, received=10, sent=0x100)
    assert meter.take() == Passed(sent=0x200, received=10)


def test_an_interface_that_is_pulled_is_no_error_and_may_come_back(tmp_path: Path) -> None:
    meter = Meter("wwan0", shared=False, proc=proc(tmp_path, received=500, sent=700))
    meter.take()
    (tmp_path / "net" / "dev").write_text(DEV.format(received=1, sent=1).replace("wwan0", "wwan1"))
    assert (meter.take(), meter.how) == (Passed(0, 0), "estimated")
    proc(tmp_path, received=40, sent=60)
    assert meter.take() == Passed(60, 40)


def test_where_others_send_too_the_own_connection_is_counted(tmp_path: Path) -> None:
    meter = Meter("wwan0", shared=True, proc=proc(tmp_path, received=500, sent=700))
    assert (meter.interface, meter.how) == (None, "estimated")
    meter.take()
    proc(tmp_path, received=9_000, sent=9_000)
    assert meter.take() == Passed(0, 0)
    meter.looked_up()
    assert sum(meter.take()) == wire.LOOKUP_BYTES


def test_the_interface_is_that_of_the_default_route_with_the_least_metric(tmp_path: Path) -> None:
    meter = Meter(None, shared=False, proc=proc(tmp_path, received=0, sent=0))
    assert (meter.interface, meter.how) == (None, "estimated")
    meter.look_for_route()
    assert (meter.interface, meter.how) == ("wwan0", "measured")
    assert default_interface(tmp_path / "none") is None
    assert interface_counters(tmp_path / "none", "wwan0") is None


@contextmanager
def conversation() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection over the loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        with closing(ours), closing(theirs):
            yield ours, theirs


def talk(ours: socket.socket, theirs: socket.socket) -> None:
    """A month's manner: short messages, each answered, and a few long ones."""
    for size in [400, 700, 900] * 40 + [30_000] * 4:
        ours.sendall(b"x" * size)
        left = size
        while left:
            left -= len(theirs.recv(min(left, 65_536)))
        theirs.sendall(b"y" * 4)
        assert ours.recv(4) == b"yyyy"


def in_a_network_of_its_own(what: Callable[[], None]) -> None:
    """Runs it in a thread with a loopback of its own, whose counters nobody else moves."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network namespace needs root and iproute2 (apt-get install --no-install-recommends iproute2)")
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(NEW_NETWORK):
                pytest.skip(f"no network namespace ({os.strerror(ctypes.get_errno())})")
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=20)
            what()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def test_the_estimate_of_a_connection_is_what_the_interface_counts() -> None:
    """Within a twentieth, from the first packet to the last; the loopback counts each packet once, as sent and as received."""

    def compare() -> None:
        dev = Path("/proc/thread-self/net/dev")
        before = interface_counters(dev, "lo")
        assert before is not None
        meter = Meter(None, shared=True)
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            ours = socket.socket()
            meter.opened(ours)
            ours.connect(server.getsockname())
            theirs, _ = server.accept()
            talk(ours, theirs)
            half = meter.take()
            talk(ours, theirs)
            meter.ended()
            ours.close()
            assert theirs.recv(1) == b""
            theirs.close()
        counted = half.sent + half.received + sum(meter.take())
        after = interface_counters(dev, "lo")
        assert after is not None
        # The interface's own 14 bytes of Ethernet header are in no IP packet; the loopback has them, a SIM does not count them.
        packets = int(next(line for line in dev.read_text().splitlines() if "lo:" in line).split()[2])
        assert counted == pytest.approx(after.sent - before.sent - 14 * packets, rel=0.05)

    in_a_network_of_its_own(compare)


def test_a_connection_counts_both_ways_and_what_is_not_sent_yet_counts_at_its_end() -> None:
    with conversation() as (ours, theirs):
        meter = Meter(None, shared=True)
        meter.opened(ours)
        ours.sendall(b"x" * 1_000)
        assert len(theirs.recv(1_000)) == 1_000
        first = meter.take()
        assert 1_000 < first.sent < 1_300
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        ours.setblocking(False)
        pushed = 0
        try:
            while True:
                pushed += ours.send(b"x" * 65_536)
        except BlockingIOError:
            pass
        assert metering.tcp_unsent(ours) > 0, "the kernel holds what the other side does not take"
        meter.ended()
        assert meter.take().sent >= pushed
        assert meter.take() == Passed(0, 0)


def test_a_socket_that_is_gone_is_no_error() -> None:
    with conversation() as (ours, _):
        pass
    assert tcp_passed(ours) == Passed(0, 0)
    assert metering.tcp_unsent(ours) == 0
