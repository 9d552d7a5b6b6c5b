"""The page over HTTP: the newest picture of a lane with what was found, and the shapes of the config. For few browsers, and a short time."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import msgspec

from agent.problems import Exit, Problem, Problems
from agent.web.access import Access, Session
from agent.web.handover import Ask, Told

_FOLDER = Path(__file__).parent
_STATIC = {"/look.js": "text/javascript; charset=utf-8", "/look.css": "text/css; charset=utf-8"}
_MOST_BODY = 65_536
_TIMEOUT_S = 15.0
_MOST_CONNECTIONS = 24
_HEADERS = {
    # Nothing from elsewhere, nothing in the page itself, in nobody's frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A shape that somebody drew. seen: which state of the config files he drew it on. remove: he wants it gone."""

    lane: str
    kind: str
    name: str
    points: list[tuple[float, float]]
    seen: str
    remove: bool = False


class Pages(Protocol):
    """What the page shows and what it does. Problem and Problems are shown to who looks."""

    def ask(self, question: Ask) -> tuple[Told, bytes]: ...

    def shapes(self, lane: str) -> dict[str, Any]:
        """As JSON: file, seen, and the zones, lines and masks of the lane by name."""

    def save(self, drawn: Drawn) -> str:
        """What was done, in words."""


@contextmanager
def serving(address: str, port: int, pages: Pages, open_access: Callable[[int], Access]) -> Iterator[int]:
    """Serves between `with` and its end; gives the port. open_access: port → who may look. port 0: any. Problem: it is not to be had."""
    try:
        server = _Server((address, port), _Handler)
    except OSError as error:
        raise Problem(
            where=f"{address}:{port}",
            what=f"the page cannot be served there: {error.strerror or error}",
            remedy="Choose another port with --port, or an address of this machine with --lan ADDRESS",
            code=Exit.COMMAND_LINE,
        ) from None
    with server:
        number: int = server.server_address[1]
        server.pages, server.access = pages, open_access(number)
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="look-http", daemon=True)
        thread.start()
        try:
            yield number
        finally:
            server.shutdown()
            thread.join(_TIMEOUT_S)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    pages: Pages
    access: Access

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._places = threading.Semaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, but no more than the device can spare."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: Any) -> None:
        """A browser that goes away in the middle is nothing to print."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "edge-agent", ""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        if not self._is_called_right():
            return
        if url.path == "/" and "token" in query:
            self._enter(query["token"])
            return
        session = self._session()
        if session is None:
            self._say(
                403,
                "This page needs the address that `edge-agent look` printed: it is used up, wrong, or of another run.",
            )
        elif url.path == "/":
            page = (_FOLDER / "page.html").read_text(encoding="utf-8").replace("CSRF", session.csrf)
            self._send(200, "text/html; charset=utf-8", page.encode())
        elif url.path in _STATIC:
            self._send(200, _STATIC[url.path], (_FOLDER / url.path[1:]).read_bytes())
        elif url.path == "/view":
            self._guarded(lambda: self._view(query))
        elif url.path == "/shapes":
            self._guarded(lambda: self._json(200, self.server.pages.shapes(query.get("lane", ""))))
        else:
            self._say(404, "There is nothing here.")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        body = self.rfile.read(int(length)) if length.isdecimal() and int(length) <= _MOST_BODY else None
        self.close_connection = body is None  # what was not read is no request
        if not self._is_called_right():
            return
        session, host = self._session(), self.headers.get("Host", "")
        if session is None or not self.server.access.may_change(
            session, self.headers.get("X-Look"), host, self.headers.get("Origin")
        ):
            self._say(403, "Only the page itself may change something.")
        elif body is None or urlsplit(self.path).path != "/shapes":
            self._say(400, "This is no shape.")
        else:
            self._guarded(lambda: self._save(body))

    def _save(self, body: bytes) -> None:
        try:
            drawn = msgspec.json.decode(body, type=Drawn)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._say(400, "This is no shape.")
            return
        self._json(200, {"said": self.server.pages.save(drawn)})

    def _view(self, query: dict[str, str]) -> None:
        """The length of what is told as four bytes, then it as JSON, then the JPEG: one answer, so that boxes fit their picture."""
        after = query.get("after", "0")
        told, jpeg = self.server.pages.ask(
            Ask(lane=query.get("lane") or None, after_us=int(after) if after.isdecimal() else 0)
        )
        text = msgspec.json.encode(told)
        self._send(200, "application/octet-stream", len(text).to_bytes(4, "big") + text + jpeg)

    def _enter(self, token: str) -> None:
        session = self.server.access.enter(token)
        if session is None:
            self._say(403, "This address is used up, or of another run. `edge-agent look` has printed the next one.")
            return
        self.send_response(303)
        self.send_header("Set-Cookie", f"{self._cookie}={session.name}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Location", "/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    @property
    def _cookie(self) -> str:
        """Cookies know no ports: two pages on one machine have two names."""
        return f"look-{self.server.server_address[1]}"

    def _session(self) -> Session | None:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return self.server.access.session(cookie.value if cookie is not None else None)

    def _is_called_right(self) -> bool:
        """A name that somebody else made point here (DNS rebinding) is not ours."""
        if self.headers.get("Host", "") in self.server.access.hosts:
            return True
        self._say(421, "Open the address that was printed.")
        return False

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (Problem, Problems) as problem:
            self._json(409, {"said": str(problem)})

    def _json(self, status: int, value: Any) -> None:
        self._send(status, "application/json", msgspec.json.encode(value))

    def _say(self, status: int, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", f"{text}\n".encode())

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the library's name
        """Addresses hold tokens: nothing is logged."""
