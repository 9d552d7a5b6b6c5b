"""Which address of this machine is one of the site's network: private, and not the loopback's."""

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress

from agent.problems import Exit, Problem

_SIOCGIFADDR = 0x8915  # netdevice(7): the IPv4 address of an interface


def private_address() -> str:
    """The first of them. Problem: there is none; a public one is opened only by who names it."""
    for address in _addresses():
        if address.is_private and not address.is_loopback and not address.is_link_local:
            return str(address)
    raise Problem(
        where="--lan",
        what="this machine has no private address",
        remedy="Name the address that the page is to be opened at: --lan ADDRESS",
        code=Exit.COMMAND_LINE,
    )


def _addresses() -> list[ipaddress.IPv4Address]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # an interface without an address
                told = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(ipaddress.IPv4Address(told[20:24]))
    return found
