"""Serial ports: pyserial opens and configures, `select` and one large `os.read` take what is there (a tenth of the wake-ups of its read)."""

import errno
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from firmware_bridge.errors import LinkError

if TYPE_CHECKING:
    import serial

_MOST_BYTES = 65536
_WRITE_TIMEOUT_S = 1.0


class Port:
    """An open port, of one thread."""

    def __init__(self, connection: "serial.Serial", path: str) -> None:
        self._connection = connection
        self._path = path

    def read(self, timeout_s: float) -> bytes:
        """All that is there, at most 64 kB; nothing when nothing came in time. LinkError when the device is gone."""
        try:
            descriptor = self._connection.fileno()
            ready, _, _ = select.select([descriptor], [], [], max(0.0, timeout_s))
            if not ready:
                return b""
            data = os.read(descriptor, _MOST_BYTES)
        except OSError as error:  # SerialException is one
            raise self._gone() from error
        if not data:  # readable and nothing there: that is how a hang-up looks
            raise self._gone()
        return data

    def write(self, data: bytes) -> None:
        """LinkError when the device is gone or takes nothing within a second."""
        import serial

        try:
            self._connection.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkError(
                where=self._path,
                what=f"the device took nothing for {_WRITE_TIMEOUT_S:g} s",
                remedy="Check whether it runs; start it anew",
            ) from error
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> LinkError:
        return LinkError(
            where=self._path, what="the device is gone: unplugged or without power", remedy="Plug it in again"
        )


@contextmanager
def open_port(path: str, baud: int) -> Iterator[Port]:
    """8N1, no flow control, for this process alone; what stood in its input is discarded. LinkError when it cannot be had."""
    import serial

    try:
        connection = serial.Serial(path, baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S, exclusive=True)
    except (serial.SerialException, OSError, ValueError) as error:
        raise _refused(path, baud, error) from error
    with connection:
        try:
            connection.reset_input_buffer()
        except OSError as error:
            raise _refused(path, baud, error) from error
        yield Port(connection, path)


def _refused(path: str, baud: int, error: Exception) -> LinkError:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.ENOENT:
        return LinkError(
            where=path,
            what="there is no such port",
            remedy="Is the device plugged in? `ls -l /dev/serial/by-id` shows what is",
        )
    if number in (errno.EACCES, errno.EPERM):
        return LinkError(
            where=path,
            what="no permission to open the port",
            remedy="Add the agent's user to the group of the port (`ls -l`, usually dialout) and log in anew",
        )
    if number in (errno.EAGAIN, errno.EBUSY):
        return LinkError(
            where=path,
            what="another program holds the port",
            remedy="End it (`fuser` names it); ModemManager must be told to leave the port alone",
        )
    if number in (errno.ENXIO, errno.EIO, errno.ENODEV):
        return LinkError(where=path, what="the device behind the port is gone", remedy="Plug it in again")
    if isinstance(error, ValueError):
        return LinkError(
            where=path, what=f"the port cannot do {baud} baud", remedy="Set the baud of the device's firmware"
        )
    return LinkError(
        where=path, what=f"not a serial port that can be set up: {error}", remedy="Name the port of the device"
    )
