"""Where the broker is and how to get in: the address, TLS, user and password; and each refusal in words, with what to do."""

import ipaddress
import socket
import ssl
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.subscriber.errors import SubscriberError

CONNECT_LIMIT_S = 5.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Broker(msgspec.Struct, frozen=True, kw_only=True):
    """Made by `broker()`. password is never part of a repr or a message."""

    host: str
    port: int
    secure: bool
    user: str | None = None
    password: str | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    protocol: Literal["5", "3.1.1"] = "5"

    def __repr__(self) -> str:
        return f"Broker({self.address})"

    @property
    def address(self) -> str:
        return f"{'mqtts' if self.secure else 'mqtt'}://{self.host}:{self.port}"

    def problem(self, what: str, remedy: str) -> SubscriberError:
        return SubscriberError(where=self.address, what=what, remedy=remedy)

    def tls(self) -> ssl.SSLContext | None:
        """None for plain text. SubscriberError for a certificate or key file that cannot be used."""
        if not self.secure:
            return None
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise SubscriberError(
                where=str(self.ca_file),
                what=f"no certificates can be read: {error}",
                remedy="Give --ca-file a PEM file",
            ) from None
        if self.cert_file is not None:
            try:
                # An encrypted key would ask on the terminal: give it no password instead.
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
            except (OSError, ssl.SSLError) as error:
                raise SubscriberError(
                    where=str(self.cert_file),
                    what=f"certificate and key cannot be used: {error}",
                    remedy="Give --cert-file and --key-file PEM files that belong together, the key unencrypted",
                ) from None
        return context


class Client(mqtt.Client):
    """paho with a socket of ours: paho leaves its own open when TLS fails. `_create_socket` is not public."""

    def __init__(self, at: Broker, client_id: str) -> None:
        if at.protocol == "5":
            super().__init__(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, manual_ack=True)
        else:  # a session that is kept, as in MQTT 5
            super().__init__(
                CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311, manual_ack=True, clean_session=False
            )  # fmt: skip
        self._at, self._context = at, at.tls()
        if at.user is not None:
            self.username_pw_set(at.user, at.password)

    def open(self, keepalive_s: int, *, session_expiry_s: int, receive_maximum: int) -> None:
        """Sends CONNECT; the session of before goes on."""
        if self._at.protocol != "5":
            self.connect(self._at.host, self._at.port, keepalive_s)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session_expiry_s
        properties.ReceiveMaximum = receive_maximum
        self.connect(self._at.host, self._at.port, keepalive_s, clean_start=False, properties=properties)

    def _create_socket(self) -> Any:
        plain = socket.create_connection((self._at.host, self._at.port), timeout=CONNECT_LIMIT_S)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._at.host)
        except BaseException:
            plain.close()
            raise


def broker(
    url: str,
    *,
    user: str | None = None,
    password_file: Path | None = None,
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
    allow_plaintext: bool = False,
    protocol: Literal["5", "3.1.1"] = "5",
) -> Broker:
    """From the command's options. SubscriberError for an address that is none, plain text over a network, a password that is not there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query:
        raise SubscriberError(
            where="URL", what="this is no broker's address", remedy="Write it as mqtts://broker.example.com:8883"
        )
    if parts.username or parts.password:
        raise SubscriberError(
            where="URL", what="it holds a user or password, which other users of this machine can read",
            remedy="Use --user and --password-file",
        )  # fmt: skip
    secure = parts.scheme == "mqtts"
    if not secure and not allow_plaintext and not _is_loopback(host):
        raise SubscriberError(
            where=f"mqtt://{host}",
            what="this would send the password and all data unencrypted over a network",
            remedy="Use mqtts://, or say --allow-plaintext",
        )
    if password_file is not None and user is None:
        raise SubscriberError(where="--password-file", what="there is no user", remedy="Give --user too")
    password = None
    if password_file is not None:
        try:
            password = password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SubscriberError(
                where=str(password_file),
                what=f"no password can be read: {error}",
                remedy="Give --password-file a file that holds the password, nothing else",
            ) from None
    return Broker(
        host=host, port=port or _PORTS[parts.scheme], secure=secure, user=user, password=password,
        ca_file=ca_file, cert_file=cert_file, key_file=key_file, protocol=protocol,
    )  # fmt: skip


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refused(at: Broker, cause: Exception | ReasonCode) -> tuple[SubscriberError, bool]:
    """In words, and whether it is final: true where trying again the same way cannot help."""
    if isinstance(cause, ReasonCode):
        name = str(cause)
        if cause.value in (0x86, 0x87, 0x8C):
            who = f"user {at.user}" if at.user else "a client without user"
            return at.problem(
                f"it refuses {who}: {name}", "Check --user, --password-file and the broker's access list"
            ), True
        if cause.value in (0x84, 0x01):
            remedy = "Give --protocol 3.1.1" if at.protocol == "5" else "Leave --protocol out"
            return at.problem(f"it does not speak MQTT {at.protocol}: {name}", remedy), True
        if cause.value in (0x85, 0x02):
            return at.problem(f"it refuses the client id: {name}", "Let it accept edge-agent-subscriber-*"), True
        return at.problem(f"it refuses the connection: {name}", "Look at the broker's log"), False
    if isinstance(cause, ssl.SSLCertVerificationError):
        if "Hostname mismatch" in str(cause) or "IP address mismatch" in str(cause):
            remedy = f"Use the name in its certificate instead of {at.host}"
        else:
            remedy = "Give --ca-file the authority that signed it"
        return at.problem(f"its certificate is not trusted: {cause.verify_message}", remedy), True
    if isinstance(cause, ssl.SSLError):
        return at.problem(f"no TLS connection: {cause.reason or cause}", "Is this the broker's TLS port?"), True
    if isinstance(cause, socket.gaierror):
        return at.problem(
            f"the name is not known: {cause.strerror}", "Check the host name and this machine's DNS"
        ), False
    if isinstance(cause, TimeoutError):
        return at.problem(
            f"nobody answered within {CONNECT_LIMIT_S:.0f} s", "Check the address and the firewall"
        ), False
    if isinstance(cause, ConnectionRefusedError):
        return at.problem("nothing listens there", "Start the broker, or check the port"), False
    return at.problem(f"no connection: {cause}", "Check the address and the network"), False
