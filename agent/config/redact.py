"""Addresses without their passwords, for whatever is shown."""

import re

# user:password@ after the scheme; the password may itself hold an @, so the last one before the path counts.
_PASSWORD = re.compile(r"(//[^/@:\s]*):[^/\s]*@")
_ANY_AUTHORITY = re.compile(r"\S*:\S*@")
_QUERY = re.compile(r"(?i)\b((?:password|passwd|pass|pwd|pw|token|secret|key)=)[^&;\s]+")


def without_password(url: str) -> str:
    """The same text, with `user:…@` for each `user:password@`. An unfinished address (`rtsp:/user:secret@host`) loses all before its @."""
    hidden = _PASSWORD.sub(r"\1:…@", url)
    return hidden if hidden != url or not _ANY_AUTHORITY.search(url) else _ANY_AUTHORITY.sub("…@", url)


def redacted(text: str) -> str:
    """Also without the values of `password=`, `token=` and the like, which some cameras want in their address."""
    return _QUERY.sub(r"\1…", without_password(text))
