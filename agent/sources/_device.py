"""A V4L2 camera: opened with what the config asks for, or why it cannot be."""

import errno
import logging
import os
import stat

from agent.log import fact
from agent.problems import Problem
from agent.sources._capture import Capture, open_device

_log = logging.getLogger(__name__)


def open_camera_device(
    url: str, *, width: int | None, height: int | None, rate_hz: float | None, where: str
) -> Capture:
    """Problem: not there, not allowed, in use, or no camera. What it gives otherwise than asked is logged."""
    path = os.path.realpath(url)  # /dev/v4l/by-id/… is a link
    _check_device(url, path, where)
    capture, differences = open_device(path, width=width, height=height, rate_hz=rate_hz)
    if not capture.opened:
        raise Problem(
            where=f"{where}.url",
            what=f"{url} is there, but gives no video",
            remedy="Is it a capture device (v4l2-ctl --list-devices)? Some cameras have two, one of them without pictures",
        )
    if differences:
        _log.warning(fact("the camera gives otherwise than asked", camera=url, differences="; ".join(differences)))
    return capture


def _check_device(name: str, path: str, where: str) -> None:
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        remedies = {
            errno.ENOENT: "Is it plugged in? ls /dev/v4l/by-id shows the cameras that are",
            errno.EACCES: "Add the user to the group video: usermod -aG video USER",
            errno.EBUSY: "Another program has it open: fuser -v shows which",
        }
        raise Problem(
            where=f"{where}.url",
            what=f"{name}: {(error.strerror or str(error)).lower()}",
            remedy=remedies.get(error.errno or 0, "Check the device with v4l2-ctl --list-devices"),
        ) from None
    try:
        if not stat.S_ISCHR(os.fstat(handle).st_mode):
            raise Problem(
                where=f"{where}.url", what=f"{name} is no device", remedy="Name a device, an address or a video file"
            )
    finally:
        os.close(handle)
