"""Why a camera's address gives no video. FFmpeg tells OpenCV, and OpenCV tells us, only that it does not: so we ask the host ourselves."""

from urllib.parse import urlsplit

from agent.problems import Problem
from agent.sources import _answer
from agent.sources._address import shown
from agent.values import Secret

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


def no_video(
    url: str, *, user: str | None, password: Secret | None, where: str, timeout_s: float = _TIMEOUT_S
) -> Problem:
    """What to say of a host that takes connections but gives no video. Asks once more, itself."""
    name = shown(url)
    host, port = _host_and_port(url, where)
    try:
        status = _answer.status(url, host, port, user=user, password=password, timeout_s=timeout_s)
    except TimeoutError:
        what, remedy = (
            f"{name} takes connections, but does not answer",
            "Start the camera anew; it may have too many viewers",
        )
        return Problem(where=where, what=what, remedy=remedy)
    if status is not None and status >= 300:
        return refusal(status, name, with_user=user is not None, where=where)
    if status is None and url.startswith("rtsp://"):
        what = f"{name}: what answers at port {port} does not speak RTSP"
        remedy = "Check the port: a camera's RTSP server is usually at 554"
    else:
        what, remedy = f"{name} answers, but gives no video that can be read", "Check that a player shows this address"
    return Problem(where=where, what=what, remedy=remedy)


def refusal(status: int, name: str, *, with_user: bool, where: str) -> Problem:
    """What to say of an answer that is no picture. with_user: a login was tried."""
    if status in (401, 403) and with_user:
        what, remedy = f"{name} refuses the user or the password", "Check user and password_file"
    elif status in (401, 403):
        what, remedy = f"{name} wants a user and a password", "Set user and password_file"
    elif status == 404:
        what, remedy = f"{name}: the camera has nothing at this path", "Look the path up in the camera's manual"
    else:
        what, remedy = f"{name}: the camera answers {status}", "Look the path up in the camera's manual"
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
