"""The Authorization header for a camera that asks for user and password, in HTTP and RTSP alike: Basic, and Digest with MD5.

RFC 7617; RFC 2617 with the older form of RFC 2069, which most cameras ask for.
"""

import re
from collections.abc import Sequence

from agent.values import Secret

_VALUE = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_COUNT = "00000001"  # requests with this nonce


def authorization(
    challenges: Sequence[str], user: str, password: Secret, method: str, uri: str, *, client_nonce: str
) -> str | None:
    """What to answer to these WWW-Authenticate headers, Digest before Basic; None: no known scheme is among them. It is a secret."""
    import base64

    offered = [(scheme.lower(), rest) for scheme, _, rest in (text.strip().partition(" ") for text in challenges)]
    for scheme, rest in offered:
        values = {name.lower(): quoted or bare for name, quoted, bare in _VALUE.findall(rest)}
        if scheme == "digest" and values.get("algorithm", "MD5").upper() == "MD5":
            return _digest(values, user, password, method, uri, client_nonce)
    if any(scheme == "basic" for scheme, _ in offered):
        return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
    return None


def _digest(values: dict[str, str], user: str, password: Secret, method: str, uri: str, client_nonce: str) -> str:
    realm, nonce = values.get("realm", ""), values.get("nonce", "")
    with_count = "auth" in re.split(r"\s*,\s*", values.get("qop", ""))
    middle = (nonce, _COUNT, client_nonce, "auth") if with_count else (nonce,)
    response = _md5(_md5(user, realm, password.reveal()), *middle, _md5(method, uri))
    parts = {"username": user, "realm": realm, "nonce": nonce, "uri": uri, "response": response}
    if "opaque" in values:
        parts["opaque"] = values["opaque"]
    text = ", ".join(f'{name}="{value}"' for name, value in parts.items())
    return f"Digest {text}" + (f', qop=auth, nc={_COUNT}, cnonce="{client_nonce}"' if with_count else "")


def _md5(*words: str) -> str:
    import hashlib

    return hashlib.md5(":".join(words).encode(), usedforsecurity=False).hexdigest()
