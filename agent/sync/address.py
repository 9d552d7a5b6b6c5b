"""`mqtt.url`: where the broker is, and whether the way there may go unencrypted."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from agent.problems import Exit, Problem
from agent.sync import settings as sync_settings

PORTS = {"mqtt": 1883, "mqtts": 8883}


class Address(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_address(settings: sync_settings.Config, where: str = "mqtt") -> Address:
    """The broker's address. Problem (CONFIG): not an address, secrets in the URL, plaintext to another host than this one."""
    where = f"{where}.url"
    try:
        parts = urlsplit(settings.url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Problem(
            where=where, what=f"not an address ({error})", remedy="Write mqtts://host:8883.", code=Exit.CONFIG
        ) from None
    if parts.username is not None or parts.password is not None:
        # The URL itself is not repeated: it holds the secret.
        raise Problem(
            where=where,
            what="user and password stand in the URL",
            remedy="Use `user` and `password_file`.",
            code=Exit.CONFIG,
        )
    if parts.scheme not in PORTS or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Problem(
            where=where, what=f'"{settings.url}" is not an address', remedy="Write mqtts://host:8883.", code=Exit.CONFIG
        )
    address = Address(host=host, port=port or PORTS[parts.scheme], tls=parts.scheme == "mqtts")
    if not address.tls and not is_loopback(address.host) and not settings.allow_plaintext:
        raise Problem(
            where=where,
            what=f"mqtt:// would send results and password unencrypted to {address}",
            remedy="Use mqtts://, or set `allow_plaintext = true` where the network itself is safe.",
            code=Exit.CONFIG,
        )
    return address


def is_loopback(host: str) -> bool:
    """Whether it is this machine, by its address or as `localhost`. Asks no name server."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
