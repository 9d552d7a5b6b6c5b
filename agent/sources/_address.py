"""A camera's address: with its password for the library, without it for people."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

from agent.values import Secret

_QUERY = re.compile(r"(?i)\b((?:password|passwd|pass|pwd|pw|token|secret|key)=)(?:\"(?:\\.|[^\"\\])*\"|[^&;\s]+)")
_LOGIN = re.compile(r"//[^/\s]*@")


def with_credentials(url: str, user: str | None, password: Secret | None) -> str:
    """For the library call, nothing else: it is a secret."""
    if user is None:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    word = f":{quote(password.reveal(), safe='')}" if password is not None else ""
    return urlunsplit(parts._replace(netloc=f"{quote(user, safe='')}{word}@{host}"))


def shown(url: str) -> str:
    """Without user, password and what a query holds of them."""
    if url.startswith("gstreamer:"):
        return _QUERY.sub(r"\1…", _LOGIN.sub("//", url))
    parts = urlsplit(url)
    if not parts.netloc:
        return url
    return _QUERY.sub(r"\1…", urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])))
