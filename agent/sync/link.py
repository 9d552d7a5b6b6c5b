"""The road to the broker. Look-up, TCP and TLS each have a time limit, and `wake` ends any of them at once: so SIGTERM never waits for a dead
network.
"""

import errno
import select
import socket
import ssl
import threading
from collections.abc import Callable

from agent.clock import Clock
from agent.problems import Problem
from agent.sync import tls
from agent.sync.address import Address
from agent.sync.paho_socket import UNCOUNTED, Counter, Link
from agent.sync.wake import Wake

_LOOK_UP_STEP_S = 0.05
_Found = list[tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]]


class Interrupted(Exception):
    """Closing: the attempt is given up, nothing is wrong."""


def open_link(
    address: Address,
    context: ssl.SSLContext | None,
    *,
    clock: Clock,
    wake: Wake,
    closing: Callable[[], bool],
    timeout_s: float,
    where: str,
    counter: Counter = UNCOUNTED,
) -> Link:
    """Connects. timeout_s: for each of look-up, TCP (over all addresses), TLS. Problem: why not; Interrupted: closing."""
    steps = _Steps(clock, wake, closing, timeout_s)
    steps.begin()
    found = _look_up(address, steps, where, counter)
    steps.begin()
    link = Link(_connect(address, found, steps, where, counter), counter)
    if context is None:
        return link
    steps.begin()
    try:
        wrapped = context.wrap_socket(link.inner, server_hostname=address.host, do_handshake_on_connect=False)
        link.inner = wrapped
        counter.opened(wrapped)
        _handshake(wrapped, address, steps, where)
    except BaseException:
        link.close()
        raise
    return link


class _Steps:
    """The time limit of one step and the waiting in it."""

    def __init__(self, clock: Clock, wake: Wake, closing: Callable[[], bool], timeout_s: float) -> None:
        self.clock, self.wake, self.closing, self.timeout_s = clock, wake, closing, timeout_s
        self._end_us = 0

    def begin(self) -> None:
        self._end_us = self.clock.boot_us() + round(self.timeout_s * 1e6)

    def left_s(self) -> float:
        """Interrupted: closing. TimeoutError: over."""
        if self.closing():
            raise Interrupted
        left_s = (self._end_us - self.clock.boot_us()) / 1e6
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def wait(self, sock: socket.socket, events: int, share: float = 1.0) -> None:
        """Until the socket is ready. share: of the time that is left, at most."""
        poll = select.poll()
        poll.register(sock, events)
        poll.register(self.wake, select.POLLIN)
        end_us = self.clock.boot_us() + round(self.left_s() * share * 1e6)
        while True:
            left_s = min(self.left_s(), (end_us - self.clock.boot_us()) / 1e6)
            if left_s <= 0:
                raise TimeoutError
            ready = poll.poll(left_s * 1000)
            self.wake.clear()
            if any(descriptor == sock.fileno() for descriptor, _ in ready):
                return


def _look_up(address: Address, steps: _Steps, where: str, counter: Counter) -> _Found:
    """In a thread of its own: the C library's look-up has no time limit. One that hangs ends when the resolver gives up."""
    result: list[_Found | OSError] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            rows = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            result.append([(row[0], row[4]) for row in rows])  # type: ignore[misc]  # IPv4 and IPv6 forms
        except OSError as error:
            result.append(error)
        done.set()

    counter.looked_up()
    threading.Thread(target=look_up, name="sync look-up", daemon=True).start()
    while not done.is_set():
        try:
            steps.clock.wait(done, min(_LOOK_UP_STEP_S, steps.left_s()))
        except TimeoutError:
            raise Problem(
                where=f"{where}.url",
                what=f'the name server did not answer for "{address.host}" in {steps.timeout_s:g} s',
                remedy="Check this device's network and /etc/resolv.conf; it is tried again.",
            ) from None
    answer = result[0]
    if isinstance(answer, OSError):
        raise Problem(
            where=f"{where}.url",
            what=f'the host "{address.host}" is not known ({answer.strerror or answer})',
            remedy="Check its spelling and this device's network; it is tried again.",
        ) from None
    return answer


def _connect(address: Address, found: _Found, steps: _Steps, where: str, counter: Counter) -> socket.socket:
    last: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for tried, (family, place) in enumerate(found):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            counter.opened(sock)
            code = sock.connect_ex(place)
            if code == errno.EINPROGRESS:
                # A dead IPv6 road must leave time for the IPv4 one.
                steps.wait(sock, select.POLLOUT, share=1 / (len(found) - tried))
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            last = OSError(code, errno.errorcode.get(code, str(code)))
        except TimeoutError:
            last = TimeoutError()
        except BaseException:
            _give_up(sock, counter)
            raise
        _give_up(sock, counter)
    if isinstance(last, TimeoutError) or last.errno == errno.ETIMEDOUT:
        raise Problem(
            where=f"{where}.url",
            what=f"{address} did not answer in {steps.timeout_s:g} s",
            remedy="Check the network, a firewall on the way, and that the host is up; it is tried again.",
        ) from None
    if last.errno == errno.ECONNREFUSED:
        raise Problem(
            where=f"{where}.url",
            what=f"nobody listens at {address} (connection refused)",
            remedy="Start the broker or correct the port; it is tried again.",
        )
    raise Problem(
        where=f"{where}.url",
        what=f"{address} cannot be reached ({last.strerror})",
        remedy="Check this device's network; it is tried again.",
    )


def _give_up(sock: socket.socket, counter: Counter) -> None:
    counter.ended()
    sock.close()


def _handshake(wrapped: ssl.SSLSocket, address: Address, steps: _Steps, where: str) -> None:
    try:
        while True:
            try:
                wrapped.do_handshake()
                return
            except ssl.SSLWantReadError:
                steps.wait(wrapped, select.POLLIN)
            except ssl.SSLWantWriteError:
                steps.wait(wrapped, select.POLLOUT)
    except TimeoutError:
        raise Problem(
            where=f"{where}.url",
            what=f"{address} did not finish the TLS handshake in {steps.timeout_s:g} s",
            remedy="Check that this is the broker's TLS port (8883 is usual); it is tried again.",
        ) from None
    except ssl.SSLError as error:
        raise tls.explain(error, address, where) from None
    except OSError as error:
        raise Problem(
            where=f"{where}.url",
            what=f"{address} ended the connection during the TLS handshake ({error.strerror or error})",
            remedy="Check that this is the broker's TLS port (8883 is usual); it is tried again.",
        ) from None
