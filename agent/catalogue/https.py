"""Downloads one file by HTTPS: urllib with the proxy of HTTPS_PROXY and the certificates of SSL_CERT_FILE, or the system's.

Only https, also after a redirect; 30 s without a byte, 10 minutes for all, and `max_bytes` end it.
"""

import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from agent.catalogue import Report
from agent.problems import Problem

SILENCE_S = 30.0
LIMIT_S = 600.0
_CHUNK_BYTES = 65_536


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> "urllib.request.Request | None":
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise urllib.error.URLError("it redirects to an address that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str,
    target: Path,
    report: Report,
    *,
    where: str,
    max_bytes: int,
    silence_s: float = SILENCE_S,
    limit_s: float = LIMIT_S,
    monotonic: Callable[[], float] = time.monotonic,
) -> Path:
    """Writes the file to `target`. Raises Problem: not reachable, certificate, HTTP status, too large, too slow, cut short."""
    host = urlsplit(url).hostname or url
    opener = urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=ssl.create_default_context()), _OnlyHttps()
    )
    ends_at = monotonic() + limit_s
    try:
        with opener.open(url, timeout=silence_s) as response, target.open("wb") as file:
            announced = response.headers.get("Content-Length")
            if announced is not None and announced.isdigit() and int(announced) > max_bytes:
                raise _too_large(where, host, max_bytes)
            done = 0
            while chunk := response.read1(_CHUNK_BYTES):
                done += len(chunk)
                if done > max_bytes:
                    raise _too_large(where, host, max_bytes)
                if monotonic() > ends_at:
                    raise Problem(
                        where=where,
                        what=f"the download from {host} took longer than {limit_s:g} s",
                        remedy="Try again on a faster line",
                    )
                file.write(chunk)
                report(f"from {host}", done)
            if announced is not None and announced.isdigit() and done < int(announced):
                raise Problem(where=where, what=f"{host} sent {done} of {announced} bytes", remedy="Try again")
    except urllib.error.HTTPError as error:
        error.close()
        raise Problem(
            where=where, what=f"{host} answered {error.code} {error.reason}", remedy=f"Check the address {url}"
        ) from error
    except (OSError, HTTPException) as error:
        raise Problem(where=where, what=f"{host} cannot be reached: {_reason(error)}", remedy=_remedy(error)) from error
    return target


def _too_large(where: str, host: str, max_bytes: int) -> Problem:
    return Problem(
        where=where,
        what=f"{host} sends more than the {max_bytes} bytes allowed",
        remedy="Check that the address is the right file",
    )


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(reason) or type(reason).__name__


def _remedy(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLError):
        return f"Is SSL_CERT_FILE ({os.environ.get('SSL_CERT_FILE', 'not set')}) the certificate authority of your network?"
    return "Check the network, and HTTPS_PROXY where there is a proxy"
