"""A real browser: Debian's Chromium, driven by its chromedriver over WebDriver (W3C), plain HTTP.

with browser(tmp_path) as page:
    page.open("http://127.0.0.1:8377/?token=…")
    page.wait_for("return document.getElementById('found').children.length > 0", 10)
    page.pointer("picture", [(0.1, 0.1), (0.9, 0.1)])            # clicks at shares of an element; kind="touch" for a finger
"""

import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--window-size=1200,900"),
)  # fmt: skip
_LIMIT_S = 60.0
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    def __init__(self, port: int, profile: Path) -> None:
        self._port = port
        capabilities = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": [*_FLAGS, f"--user-data-dir={profile}"]},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
        }
        self._session = self._ask("POST", "/session", {"capabilities": capabilities})["sessionId"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_LIMIT_S)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            with connection.getresponse() as answer:
                value = json.loads(answer.read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{path}: {value['error']}: {value['message']}")
        return value

    def _tell(self, method: str, path: str, body: Any = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def open(self, url: str) -> None:
        self._tell("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        url: str = self._tell("GET", "/url")
        return url

    def run(self, script: str, *arguments: Any) -> Any:
        """What the script returns."""
        return self._tell("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, element: str) -> str:
        return str(self.run("return document.getElementById(arguments[0]).innerText", element))

    def wait_for(self, script: str, limit_s: float, *arguments: Any) -> Any:
        """Until the script returns something that is true."""
        end = time.monotonic() + limit_s
        while not (value := self.run(script, *arguments)):
            if time.monotonic() > end:
                body = self.run("return document.body.innerText")
                raise AssertionError(f"within {limit_s} s never true: {script}\nthe page says: {body}")
            time.sleep(0.05)
        return value

    def click(self, element: str) -> None:
        self._tell("POST", f"/element/{self._find(element)}/click", {})

    def write(self, element: str, text: str) -> None:
        self._tell("POST", f"/element/{self._find(element)}/clear", {})
        self._tell("POST", f"/element/{self._find(element)}/value", {"text": text})

    def _find(self, element: str) -> str:
        return str(self._tell("POST", "/element", {"using": "css selector", "value": f"#{element}"})[_ELEMENT])

    def pointer(self, element: str, points: Sequence[tuple[float, float]], *, kind: str = "mouse") -> None:
        """Presses and lets go at each of the points, shares of the element."""
        self._act(element, [[point] for point in points], kind)

    def drag(self, element: str, points: Sequence[tuple[float, float]], *, kind: str = "mouse") -> None:
        """Presses at the first point, moves over the others, lets go at the last."""
        self._act(element, [list(points)], kind)

    def _act(self, element: str, strokes: list[list[tuple[float, float]]], kind: str) -> None:
        self.run("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", element)
        wide, high = self.run(
            "const box = document.getElementById(arguments[0]).getBoundingClientRect(); return [box.width, box.height]",
            element,
        )
        origin = {
            _ELEMENT: self._find(element)
        }  # of each move, wherever the element is by then; measured from its middle
        actions: list[dict[str, Any]] = []
        for stroke in strokes:
            for place, (x, y) in enumerate(stroke):
                offset = {"x": round((x - 0.5) * wide), "y": round((y - 0.5) * high)}
                actions.append({"type": "pointerMove", "duration": 30, "origin": origin, **offset})
                if place == 0:
                    actions.append({"type": "pointerDown", "button": 0})
            actions.append({"type": "pointerUp", "button": 0})
        source = {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": actions}
        self._tell("POST", "/actions", {"actions": [source]})

    def log(self) -> list[str]:
        """What the browser's console says, also of what the page's policy forbade."""
        return [str(entry["message"]) for entry in self._tell("POST", "/se/log", {"type": "browser"})]

    def screenshot(self) -> bytes:
        """PNG."""
        import base64

        return base64.b64decode(self._tell("GET", "/screenshot"))

    def end(self) -> None:
        self._tell("DELETE", "")


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Skips the test where Chromium or its driver is absent."""
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("chromium and chromium-driver are not installed (tools/packages.sh)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(port)
        profile = folder / "browser-profile"
        profile.mkdir()
        page = Browser(port, profile)
        try:
            yield page
        finally:
            page.end()
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def _wait_until_ready(port: int) -> None:
    end = time.monotonic() + _LIMIT_S
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/status")
            with connection.getresponse() as answer:
                if json.loads(answer.read())["value"]["ready"]:
                    return
        except OSError:
            if time.monotonic() > end:
                raise
        finally:
            connection.close()
        time.sleep(0.05)
