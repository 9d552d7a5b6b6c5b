"""A camera that answers with one JPEG: asked every so often (HTTP GET; Basic and Digest). The JPEG is kept as it came.

A picture that is byte for byte the one before it is not a new one: a live sensor has noise, so the camera is stuck or had none yet.
"""

import threading
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.clock import Clock
from agent.problems import Problem
from agent.records import Frame
from agent.sources import Stalled
from agent.sources._address import shown
from agent.sources._login import authorization
from agent.sources._reachable import check_host, refusal
from agent.values import Secret

if TYPE_CHECKING:
    import http.client

_LARGEST_BYTES = 32_000_000
_PIECE_BYTES = 65_536


class Snapshots:
    """Source. A frame is dated when its picture was whole here. refused: pictures that were the one before them."""

    def __init__(self, url: str, *, user: str | None, password: Secret | None, every_s: float, stall_s: float,
                 clock: Clock, stop: threading.Event, where: str) -> None:  # fmt: skip
        self._url, self._user, self._password, self._where = url, user, password, where
        self._every_us, self._stall_us = round(every_s * 1e6), round(stall_s * 1e6)
        self._clock, self._stop = clock, stop
        self._name = shown(url)
        self._due_us = self._new_us = clock.boot_us()
        self._before: bytes | None = None
        self.refused = 0

    def read(self, timeout_s: float) -> Frame | None:
        """Problem: refused, no answer, or no picture. Stalled: no new one in the stall time."""
        early_us = self._due_us - self._clock.boot_us()
        if early_us > 0:
            self._clock.wait(self._stop, min(timeout_s, early_us / 1e6))
            if self._clock.boot_us() < self._due_us:
                return None
        self._due_us = max(self._due_us + self._every_us, self._clock.boot_us())
        data = self._fetch()
        now_us = self._clock.boot_us()
        if data == self._before:
            self.refused += 1
            if now_us - self._new_us >= self._stall_us:
                raise Stalled(
                    where=self._where,
                    what=f"{self._name} gave the same picture for {self._stall_us / 1e6:g} s",
                    remedy="Start the camera anew; if it makes a new picture less often, set every_s and stall_s higher",
                )
            return None
        self._before, self._new_us = data, now_us
        return self._frame(data, now_us)

    def _frame(self, data: bytes, at_us: int) -> Frame:
        import cv2
        import numpy as np

        pixels = None
        if data[:2] == b"\xff\xd8":
            try:
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            except cv2.error:  # larger than OpenCV takes
                pixels = None
        if pixels is None:
            raise Problem(
                where=self._where,
                what=f"{self._name} answers with something that is no JPEG",
                remedy="Look up in the camera's manual which path gives a single picture; for a stream, take every_s out",
            )
        return Frame(at_us=at_us, bgr=np.asarray(pixels, np.uint8), encoded=data)

    def _fetch(self) -> bytes:
        import http.client
        import ssl

        try:
            status, data = self._ask()
        except TimeoutError:
            what, remedy = f"{self._name} did not answer in {self._stall_us / 1e6:g} s", "Start the camera anew"
            raise Stalled(where=self._where, what=what, remedy=remedy) from None
        except ssl.SSLCertVerificationError:
            what = f"{self._name}: the camera's certificate is of nobody whom this device trusts"
            remedy = (
                "Add its authority to this device (update-ca-certificates), or write http:// where the network is yours"
            )
            raise Problem(where=self._where, what=what, remedy=remedy) from None
        except (OSError, http.client.HTTPException, ValueError):
            check_host(self._url, self._where)
            what, remedy = f"{self._name} breaks off its answer", "Check the camera and the network; it is asked again"
            raise Problem(where=self._where, what=what, remedy=remedy) from None
        if status != 200:
            raise refusal(status, self._name, with_user=self._user is not None, where=self._where)
        return data

    def _ask(self) -> tuple[int, bytes]:
        """(status, body) of the answer that counts: a login is sent only to a camera that asks for one."""
        import http.client
        import secrets
        import ssl

        parts, timeout_s = urlsplit(self._url), self._stall_us / 1e6
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        host, port = parts.hostname or "", parts.port
        until_us = self._clock.boot_us() + self._stall_us
        with closing(
            http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout_s)
        ) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status == 401 and self._user is not None:
                challenges = response.headers.get_all("WWW-Authenticate") or ()
                self._body(response, until_us)  # the next request needs the connection
                login = authorization(
                    challenges, self._user, self._password or Secret(""), "GET", path, client_nonce=secrets.token_hex(8)
                )
                if login is not None:
                    connection.request("GET", path, headers={"Authorization": login})
                    response = connection.getresponse()
            return response.status, self._body(response, until_us) if response.status == 200 else b""

    def _body(self, response: "http.client.HTTPResponse", until_us: int) -> bytes:
        """TimeoutError: it drips. ValueError: it is too large to be a picture, or ends early."""
        found = bytearray()
        while piece := response.read1(_PIECE_BYTES):
            found += piece
            if self._clock.boot_us() >= until_us:
                raise TimeoutError
            if len(found) > _LARGEST_BYTES:
                raise ValueError
        if response.length:
            raise ValueError
        response.close()  # else the next request is not sent
        return bytes(found)
