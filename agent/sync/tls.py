"""Certificates of `[mqtt]`, and what a failed handshake means. TLS 1.2 or newer; the host's name is always checked."""

import ssl
from pathlib import Path

from agent.problems import Exit, Problem
from agent.sync import settings as sync_settings
from agent.sync.address import Address

# X509_V_ERR_* of OpenSSL's x509_vfy.h
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
_WRONG_NAME = (62, 64)


def open_context(settings: sync_settings.Config, where: str = "mqtt") -> ssl.SSLContext:
    """Problem (CONFIG): a file that is missing, is no certificate, or does not fit its key."""
    for key, path in (
        ("ca_file", settings.ca_file),
        ("cert_file", settings.cert_file),
        ("key_file", settings.key_file),
    ):
        if path is not None and not Path(path).is_file():
            raise Problem(
                where=f"{where}.{key}", what=f"no such file: {path}", remedy="Correct the path.", code=Exit.CONFIG
            )
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise Problem(
            where=f"{where}.ca_file",
            what=f"{settings.ca_file} holds no certificate that can be read ({error})",
            remedy="It must be PEM: -----BEGIN CERTIFICATE-----.",
            code=Exit.CONFIG,
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.cert_file is None:
        if settings.key_file is not None:
            raise Problem(
                where=f"{where}.key_file",
                what="a key without a certificate",
                remedy="Name `cert_file` too.",
                code=Exit.CONFIG,
            )
        return context
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except (ssl.SSLError, OSError) as error:
        raise Problem(
            where=f"{where}.cert_file",
            what=f"{settings.cert_file} and its key cannot be used ({error})",
            remedy="Both must be PEM, belong together, and the key must have no passphrase.",
            code=Exit.CONFIG,
        ) from None
    return context


def explain(error: ssl.SSLError, address: Address, where: str) -> Problem:
    """What a handshake that failed tells the person in front of the device."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, address, where)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "wrong version number" in reason or "unknown protocol" in reason or "record layer" in reason:
        return Problem(
            where=f"{where}.url",
            what=f"{address} does not speak TLS",
            remedy="Check the port (8883 is usual for mqtts://); without TLS the URL begins with mqtt://.",
        )
    if "certificate required" in reason or ("handshake failure" in reason and "alert" in reason):
        return Problem(
            where=f"{where}.cert_file",
            what=f"{address} wants a certificate of this device ({reason})",
            remedy="Set `cert_file` and `key_file` to one that the broker's CA has signed.",
        )
    if "alert" in reason and ("unknown ca" in reason or "certificate" in reason):
        return Problem(
            where=f"{where}.cert_file",
            what=f"{address} refuses this device's certificate ({reason})",
            remedy="Renew it, or have it signed by the CA that the broker trusts.",
        )
    if isinstance(error, ssl.SSLEOFError):
        return Problem(
            where=f"{where}.url",
            what=f"{address} ended the TLS connection without saying why",
            remedy="It may want a certificate of this device (`cert_file`, `key_file`); look into the broker's log.",
        )
    return Problem(
        where=f"{where}.url",
        what=f"TLS with {address} failed ({reason})",
        remedy="Check that the broker speaks TLS 1.2 or newer.",
    )


def _explain_certificate(error: ssl.SSLCertVerificationError, address: Address, where: str) -> Problem:
    what, code = error.verify_message, error.verify_code
    if code in _WRONG_NAME:
        return Problem(
            where=f"{where}.url",
            what=f'the certificate of {address} is for another name than "{address.host}"',
            remedy="Use the name that stands in the certificate, or have the broker's certificate issued for this one.",
        )
    if code == _EXPIRED:
        return Problem(
            where=f"{where}.url",
            what=f"the certificate of {address} has expired",
            remedy="Renew the broker's certificate; check this device's date.",
        )
    if code == _NOT_YET_VALID:
        return Problem(
            where=f"{where}.url",
            what=f"the certificate of {address} is not valid yet",
            remedy="Check this device's date: a board without a clock battery starts in the past.",
        )
    if code in _UNKNOWN_ISSUER:
        return Problem(
            where=f"{where}.ca_file",
            what=f"the certificate of {address} is signed by a CA that is not trusted here ({what})",
            remedy="Set `ca_file` to the certificate of the CA that signed it.",
        )
    return Problem(
        where=f"{where}.url",
        what=f"the certificate of {address} is refused ({what})",
        remedy="Have the broker's certificate corrected.",
    )
