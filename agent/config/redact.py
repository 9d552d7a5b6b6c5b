"""Addresses without their passwords, for whatever is shown."""

import re

# user:password@ after the scheme; the password may itself hold an @, so the last one before the path counts.
_PASSWORD = re.compile(r"(//[^/@:\s]*):[^/\s]*@")
_ANY_AUTHORITY = re.compile(r"\S*:\S*@")


def redacted(text: str) -> str:
    """The same text, with `user:…@` for each `user:password@`. An unfinished address (`rtsp:/user:secret@host`) loses all before its @."""
    hidden = _PASSWORD.sub(r"\1:…@", text)
    return hidden if hidden != text or not _ANY_AUTHORITY.search(text) else _ANY_AUTHORITY.sub("…@", text)
