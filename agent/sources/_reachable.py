"""Why a camera's address gives no video. FFmpeg tells OpenCV, and OpenCV tells us, only that it does not: so we ask the host ourselves."""

from contextlib import closing
from urllib.parse import urlsplit

from agent.problems import Problem
from agent.sources._address import shown

_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_TIMEOUT_S = 2.0


def check_host(url: str, where: str) -> None:
    """Problem when the host has no address or refuses the port: known in 2 s at most, without the library."""
    import socket

    host, port = _host_and_port(url, where)
    try:
        with socket.create_connection((host, port), _TIMEOUT_S):
            return
    except socket.gaierror:
        what, remedy = f"there is no host {host}", "Check the address, and that this device's name server answers"
    except ConnectionRefusedError:
        what, remedy = f"{host} refuses port {port}", "Is the camera's server on, and is it this port?"
    except TimeoutError:
        what, remedy = f"{host} does not answer at port {port}", "Check the camera's power, cable and address"
    except OSError as error:
        what, remedy = f"{host} port {port}: {error.strerror or error}", "Check the network between here and the camera"
    raise Problem(where=where, what=what, remedy=remedy)


def no_video(url: str, *, has_user: bool, where: str) -> Problem:
    """What to say of a host that takes connections but gives no video. Asks once more, without user and password."""
    status = _status(url, where)
    name = shown(url)
    if status in (401, 403) and has_user:
        what, remedy = f"{name} refuses the user or the password", "Check user and password_file"
    elif status in (401, 403):
        what, remedy = f"{name} wants a user and a password", "Set user and password_file"
    elif status == 404:
        what, remedy = f"{name}: the camera has nothing at this path", "Look the path up in the camera's manual"
    elif status is not None and status >= 400:
        what, remedy = f"{name}: the camera answers {status}", "Look the path up in the camera's manual"
    else:
        what, remedy = f"{name} answers, but gives no video that can be read", "Check that a player shows this address"
    return Problem(where=where, what=what, remedy=remedy)


def _host_and_port(url: str, where: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        port = 0
    if not parts.hostname or not port:
        raise Problem(
            where=where,
            what=f"{shown(url)} is no camera's address",
            remedy=f"Write {', '.join(f'{scheme}://' for scheme in _PORTS)}, a device or a file",
        )
    return parts.hostname, port


def _status(url: str, where: str) -> int | None:
    """The status of the first answer, None when there is none to be had. RTSP's status line is HTTP's (RFC 2326, 7.1)."""
    import http.client
    import ssl

    parts = urlsplit(url)
    host, port = _host_and_port(url, where)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        if parts.scheme == "rtsp":
            return _rtsp_status(host, port, f"rtsp://{host}:{port}{path}")
        if parts.scheme == "rtsps":
            return None
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=_TIMEOUT_S, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        with closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _rtsp_status(host: str, port: int, url: str) -> int | None:
    import socket

    with socket.create_connection((host, port), _TIMEOUT_S) as link:
        link.settimeout(_TIMEOUT_S)
        link.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        words = link.recv(4096).split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"RTSP/") and words[1].isdigit() else None
