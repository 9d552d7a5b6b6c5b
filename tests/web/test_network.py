"""The address that --lan opens: a private one that this machine has."""

import ipaddress
import socket

import pytest

from agent.problems import Problem
from agent.web.network import _addresses, private_address


def test_the_loopback_is_among_the_addresses_and_is_not_chosen() -> None:
    assert ipaddress.IPv4Address("127.0.0.1") in _addresses()
    try:
        chosen = ipaddress.IPv4Address(private_address())
    except Problem as problem:
        if any(one.is_private and not one.is_loopback and not one.is_link_local for one in _addresses()):
            raise
        pytest.skip(f"{problem.what}")
    assert chosen.is_private
    assert not chosen.is_loopback
    with socket.socket() as probe:
        probe.bind((str(chosen), 0))  # it is this machine's
