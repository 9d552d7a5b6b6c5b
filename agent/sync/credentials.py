"""Files that prove who this device is, as they are now: how long its certificate is valid, a password that was changed, whether any of them changed.

The end of a certificate's validity stands in its DER form (RFC 5280, 4.1): Certificate → TBSCertificate → version [0], serialNumber, signature,
issuer, validity. The standard library shows it for certificates of a peer only.
"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.problems import Problem
from agent.sync import settings as sync_settings
from agent.sync.address import Address
from agent.values import Secret

SOON_S = 30 * 86_400
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALISED_TIME = 0x30, 0xA0, 0x17, 0x18


def not_after(pem: str) -> int:
    """Until when the first certificate of a PEM text is valid: seconds since 1970. ValueError: it holds none."""
    begin, end = pem.find("-----BEGIN CERTIFICATE-----"), pem.find("-----END CERTIFICATE-----")
    if begin < 0 or end < begin:
        raise ValueError("no certificate in PEM")
    der = ssl.PEM_cert_to_DER_cert(pem[begin : end + len("-----END CERTIFICATE-----")] + "\n")
    fields = list(_elements(_content(_content(der))))
    validity = fields[4 if fields[0][0] == _VERSION else 3][1]
    _, (tag, text) = list(_elements(validity))
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALISED_TIME: "%Y%m%d%H%M%SZ"}[tag]
    return round(datetime.strptime(text.decode(), form).replace(tzinfo=UTC).timestamp())


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of each element that stands in `data`."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            length, place = int.from_bytes(data[place : place + count], "big"), place + count
        yield tag, data[place : place + length]
        place += length


def _content(data: bytes) -> bytes:
    tag, content = next(_elements(data))
    if tag != _SEQUENCE:
        raise ValueError("not a certificate")
    return content


def certificate_problem(settings: sync_settings.Config, utc_s: float, where: str = "mqtt") -> Problem | None:
    """That this device's certificate has expired or soon will; None when it is good, or when there is none that can be read (tls.py says that)."""
    if settings.cert_file is None:
        return None
    try:
        until_s = not_after(Path(settings.cert_file).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, IndexError, StopIteration):
        return None
    day = datetime.fromtimestamp(until_s, UTC).strftime("%Y-%m-%d")
    remedy = f"Put a new one in place of {settings.cert_file}: it is taken up without a restart"
    if until_s <= utc_s:
        return Problem(where=f"{where}.cert_file", what=f"this device's certificate expired on {day}", remedy=remedy)
    if until_s - utc_s < SOON_S:
        days = int((until_s - utc_s) // 86_400)
        return Problem(
            where=f"{where}.cert_file",
            what=f"this device's certificate expires on {day}, in {days} days",
            remedy=remedy,
        )
    return None


def broker_certificate(until_s: float | None, utc_s: float, address: Address) -> str | None:
    """A word about the broker's own certificate when it ends within 30 days. until_s: None without TLS."""
    if until_s is None or until_s - utc_s >= SOON_S:
        return None
    day, days = datetime.fromtimestamp(until_s, UTC).strftime("%Y-%m-%d"), int((until_s - utc_s) // 86_400)
    return f"the certificate of {address} expires on {day}, in {days} days: no device will connect then. Renew it at the broker"


def password(settings: sync_settings.Config) -> Secret | None:
    """As the file has it now; what the start read, while the file cannot be read (it is being replaced)."""
    if settings.password_file is None:
        return settings.password
    try:
        text = Path(settings.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        return settings.password
    return Secret(text) if text.strip() else settings.password


class Watch:
    """Whether any of the files changed since `begin`. One that is just being written is waited for: two looks must agree."""

    def __init__(self, settings: sync_settings.Config) -> None:
        named = (settings.password_file, settings.ca_file, settings.cert_file, settings.key_file)
        self._paths = [Path(path) for path in named if path is not None]
        self._begun = self._seen = self._look()

    @property
    def idle(self) -> bool:
        """There is nothing to watch."""
        return not self._paths

    def begin(self) -> None:
        """They are being read now."""
        self._begun = self._seen = self._look()

    def changed(self) -> bool:
        """To be asked now and then, seconds apart."""
        before, self._seen = self._seen, self._look()
        return self._seen != self._begun and self._seen == before and None not in self._seen

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_signature(path) for path in self._paths]


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
