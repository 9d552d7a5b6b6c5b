"""What a camera answers to a request of ours, as a status of HTTP or RTSP (RFC 2326: its answers have HTTP's form)."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

from agent.sources._login import authorization
from agent.values import Secret

if TYPE_CHECKING:
    import http.client
    import socket

_LONGEST_BODY_BYTES = 65536
Answer = tuple[int | None, Sequence[str]]  # status, and its WWW-Authenticate headers


def status(
    url: str, host: str, port: int, *, user: str | None, password: Secret | None, timeout_s: float
) -> int | None:
    """None when it is no answer of its protocol, or there is none to be had. TimeoutError: it took the connection and said nothing.

    A login is sent only to a camera that asks for one, and after it the answer to it counts: some name a wrong path only to whom they know.
    """
    import http.client
    import socket
    import ssl

    parts = urlsplit(url)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        if parts.scheme == "rtsp":
            address = f"rtsp://{f'[{host}]' if ':' in host else host}:{port}{path}"
            with socket.create_connection((host, port), timeout_s) as link, link.makefile("rb") as answers:
                return _after_login(lambda login: _describe(link, answers, address, login), user, password, "DESCRIBE", address)  # fmt: skip
        if parts.scheme == "rtsps":
            return None
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout_s)
        )
        with closing(connection):
            return _after_login(lambda login: _get(connection, path, login), user, password, "GET", path)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _after_login(
    ask: Callable[[str | None], Answer], user: str | None, password: Secret | None, method: str, uri: str
) -> int | None:
    import http.client
    import secrets

    first, challenges = ask(None)
    if first != 401 or user is None:
        return first
    login = authorization(challenges, user, password or Secret(""), method, uri, client_nonce=secrets.token_hex(8))
    if login is None:
        return first
    try:
        return ask(login)[0] or first
    except (OSError, http.client.HTTPException):
        return first


def _get(connection: "http.client.HTTPConnection", path: str, login: str | None) -> Answer:
    connection.request("GET", path, headers={} if login is None else {"Authorization": login})
    response = connection.getresponse()
    if response.status == 401:
        response.read(_LONGEST_BODY_BYTES)  # the next request needs the connection
    return response.status, response.headers.get_all("WWW-Authenticate") or ()


def _describe(link: "socket.socket", answers: BinaryIO, url: str, login: str | None) -> Answer:
    import http.client

    number = 1 if login is None else 2
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {number}", "Accept: application/sdp"]
    lines += [] if login is None else [f"Authorization: {login}"]
    link.sendall("\r\n".join([*lines, "", ""]).encode())
    words = answers.readline(1024).split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"RTSP/") or not words[1].isdigit():
        return None, ()
    headers = http.client.parse_headers(answers)
    if words[1] == b"401":
        answers.read(min(_LONGEST_BODY_BYTES, int(headers.get("Content-Length", "0"))))
    return int(words[1]), headers.get_all("WWW-Authenticate") or ()
