"""The socket that paho gets, over a real pair of sockets."""

import socket
from collections.abc import Iterator

import pytest

from agent.sync.paho_socket import Link


@pytest.fixture
def pair() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(20)
    link = Link(ours)
    with theirs:
        yield link, theirs
        link.close()


def test_what_is_sent_goes_together(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    assert [link.send(data) for data in (b"one", b"two", b"three")] == [3, 3, 5]
    assert link.waits
    assert link.sent_bytes == 0
    link.flush()
    assert theirs.recv(100) == b"onetwothree"
    assert not link.waits
    assert link.sent_bytes == 11


def test_a_socket_that_takes_no_more_holds_the_sender_and_loses_nothing(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    sent = bytearray()
    with pytest.raises(BlockingIOError):
        while True:
            data = bytes([len(sent) % 251]) * 1000
            assert link.send(data) == 1000
            sent += data
    assert link.waits
    assert len(sent) - link.sent_bytes < 20_000
    arrived = bytearray()
    while len(arrived) < len(sent):
        arrived += theirs.recv(1 << 16)
        link.flush()
    assert arrived == sent
    assert link.sent_bytes == len(sent)


def test_bytes_are_given_one_by_one_from_one_reading(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    theirs.sendall(b"abcdef")
    assert link.recv(1) == b"a"
    assert link.received_bytes == 6
    assert link.pending() == 5
    assert link.recv(3) == b"bcd"
    assert link.recv(100) == b"ef"
    assert link.pending() == 0
    with pytest.raises(BlockingIOError):
        link.recv(1)


def test_the_last_words_go_out_at_the_end(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    link.send(b"good bye")
    link.close()
    assert theirs.recv(100) == b"good bye"
    assert theirs.recv(100) == b""


def test_what_broke_a_sending_is_told_by_the_next_reading(pair: tuple[Link, socket.socket]) -> None:
    link, theirs = pair
    theirs.sendall(b"why")
    theirs.close()
    link.send(b"anyone?")
    link.flush()
    assert isinstance(link.error, BrokenPipeError)
    assert link.pending() > 0  # nobody waits for a socket that will say nothing
    assert link.recv(3) == b"why"  # what was said before counts
    assert link.recv(3) == b""
    assert not link.waits
