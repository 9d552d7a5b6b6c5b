"""`edge-agent look` over plain HTTP: who may see it, what it answers, and that it ends."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from peers.agents import agent, scene, wait_for, write_config
from peers.looks import Look, look

from agent.problems import Exit
from agent.web.handover import SOCKET

LIMIT_S = 40.0


class Client:
    """A browser's requests, by hand."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host, self.address, self.port = parts.netloc, parts.hostname, parts.port
        self.token = parts.query.removeprefix("token=")
        self.cookie: str | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=LIMIT_S)
        sent = {"Host": self.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookie is not None:
            sent.setdefault("Cookie", self.cookie)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def enter(self) -> str:
        """With the token; the page's own secret comes back."""
        status, headers, _ = self.ask("GET", f"/?token={self.token}")
        assert (status, headers["Location"]) == (303, "/")
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        page = self.ask("GET", "/")[2].decode()
        return page.partition('name="csrf" content="')[2].partition('"')[0]

    def view(self, query: str = "") -> tuple[dict[str, Any], bytes]:
        status, _, content = self.ask("GET", f"/view{query}")
        assert status == 200, content
        length = int.from_bytes(content[:4], "big")
        return json.loads(content[4 : 4 + length]), content[4 + length :]

    def has_picture(self) -> bool:
        return self.ask("GET", "/view")[0] == 200 and bool(self.view()[1])


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("look")
    return write_config(folder, "gate-07", scene(folder), lanes=("yard", "door"))


@pytest.fixture(scope="module")
def running(config: Path) -> Iterator[Look]:
    with agent(config), look(config, "--port", "0") as page:
        wait_for(lambda: (config.parent / "data" / SOCKET).exists(), LIMIT_S, "the agent")
        yield page


@pytest.fixture
def client(running: Look) -> Client:
    return Client(running.url)


def test_it_shows_what_the_running_agent_sees(client: Client) -> None:
    client.enter()
    end = time.monotonic() + LIMIT_S
    while not (answer := client.view("?lane=door"))[1]:
        assert time.monotonic() < end
    told, jpeg = answer
    assert told["lane"] == "door"
    assert told["lanes"] == ["yard", "door"]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
    assert told["found"][0]["model"] == "view"


@pytest.mark.parametrize("path", ["/", "/look.js", "/view", "/shapes?lane=yard", "/?token=wrong", "/?token="])
def test_without_the_token_nothing_is_shown(client: Client, path: str) -> None:
    assert client.ask("GET", path)[0] == 403
    assert client.ask("GET", path, Cookie=f"look-{client.port}=made-up")[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1", "127.0.0.1:1"])
def test_by_another_name_nothing_is_shown_not_even_with_the_token(client: Client, host: str) -> None:
    client.enter()
    assert client.ask("GET", "/view", Host=host)[0] == 421
    assert client.ask("GET", f"/?token={client.token}", Host=host)[0] == 421


def test_localhost_is_a_name_of_this_machine(client: Client) -> None:
    client.enter()
    assert client.ask("GET", "/", Host=f"localhost:{client.port}")[0] == 200


def test_every_answer_forbids_what_comes_from_elsewhere(client: Client) -> None:
    client.enter()
    for path in ("/", "/look.js", "/look.css", "/shapes?lane=yard", "/nothing"):
        status, headers, content = client.ask("GET", path)
        assert status == (404 if path == "/nothing" else 200)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"http://" not in content
        assert b"https://" not in content
    cookie = client.ask("GET", f"/?token={client.token}")[1]["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_no_handler_stands_in_the_page(client: Client) -> None:
    client.enter()
    page = client.ask("GET", "/")[2].decode()
    assert " on" not in page.replace(" one", "")
    assert "<style" not in page
    assert page.count("<script") == page.count('<script src="look.js" defer></script>') == 1


SHAPE = {"lane": "door", "kind": "zone", "name": "dock", "points": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]}


def test_only_the_page_itself_may_change_the_config(client: Client, config: Path) -> None:
    csrf = client.enter()
    before = config.read_bytes()
    seen = json.loads(client.ask("GET", "/shapes?lane=door")[2])["seen"]
    body = {**SHAPE, "seen": seen}
    assert client.ask("POST", "/shapes", body)[0] == 403
    assert client.ask("POST", "/shapes", body, X_Look="wrong")[0] == 403
    assert client.ask("POST", "/shapes", body, X_Look=csrf, Origin="http://evil.example")[0] == 403
    assert client.ask("POST", "/shapes", body, X_Look=csrf, Cookie="")[0] == 403
    assert client.ask("POST", "/shapes", body, X_Look=csrf, Host="evil.example")[0] == 421
    assert config.read_bytes() == before


def test_nonsense_is_no_shape(client: Client, config: Path) -> None:
    csrf = client.enter()
    before = config.read_bytes()
    for body in ([], {"lane": 3}, {**SHAPE, "seen": "x", "points": [["a", 1]]}, "x" * 70_000):
        assert client.ask("POST", "/shapes", body, X_Look=csrf)[0] == 400
    assert client.ask("POST", "/elsewhere", {}, X_Look=csrf)[0] == 400
    for wrong in ({"kind": "wall"}, {"kind": "line"}, {"name": "North Gate"}, {"lane": "nowhere"}, {"points": []}):
        seen = json.loads(client.ask("GET", "/shapes?lane=door")[2])["seen"]
        status, _, said = client.ask("POST", "/shapes", {**SHAPE, "seen": seen, **wrong}, X_Look=csrf)
        assert (status, bool(json.loads(said)["said"])) == (409, True)
    assert config.read_bytes() == before


def test_a_shape_goes_into_the_file_and_back_to_the_page(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path, 2), lanes=("yard", "door"))
    config.write_text("# my gate\n" + config.read_text())
    before = config.read_text()
    with look(config, "--port", "0") as page:  # no agent runs: it has one of its own
        client = Client(page.url)
        csrf = client.enter()
        shapes = json.loads(client.ask("GET", "/shapes?lane=door")[2])
        assert shapes == {"file": str(config), "seen": shapes["seen"], "shapes": {"zone": {}, "line": {}, "mask": {}}}
        status, _, said = client.ask("POST", "/shapes", {**SHAPE, "seen": shapes["seen"]}, X_Look=csrf, Origin=f"http://{client.host}")  # fmt: skip
        assert (status, json.loads(said)["said"]) == (
            200,
            f"zone dock is in {config}. It holds from the agent's next start on.",
        )
        status, _, said = client.ask("POST", "/shapes", {**SHAPE, "seen": shapes["seen"]}, X_Look=csrf)
        assert status == 409
        assert "changed meanwhile" in json.loads(said)["said"]
        assert json.loads(client.ask("GET", "/shapes?lane=door")[2])["shapes"]["zone"] == {"dock": SHAPE["points"]}
        assert page.end() == 0
    assert [line for line in config.read_text().splitlines() if line in before.splitlines()] == before.splitlines()
    assert "[lane.door.zone.dock]\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]\n" in config.read_text()


def test_without_an_agent_it_has_one_of_its_own_that_leaves_nothing_and_steps_back(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path), lanes=("yard",))
    with look(config, "--port", "0") as page:
        client = Client(page.url)
        client.enter()
        wait_for(client.has_picture, LIMIT_S, "a picture of its own agent")
        kept = {path.name for path in (config.parent / "data").glob("*")}
        assert kept <= {"cache"}  # what is remembered of models, as with every command that runs one
        with agent(config):
            wait_for(lambda: (config.parent / "data" / SOCKET).exists(), LIMIT_S, "the agent")
            wait_for(lambda: client.ask("GET", "/view")[0] == 200 and any("has the cameras now" in line for line in page.errors), LIMIT_S, "the change")  # fmt: skip
            wait_for(client.has_picture, LIMIT_S, "a picture of the agent")
        status, _, said = client.ask("GET", "/view")
        assert (status, "no agent runs" in json.loads(said)["said"]) == (409, True)
        assert page.end() == 0


def test_a_model_that_does_not_open_is_a_problem(tmp_path: Path) -> None:
    config = write_config(tmp_path, "gate-07", scene(tmp_path, 2), model=tmp_path / "nothing.tflite")
    with look(config, "--port", "0") as page:
        assert page.process.wait(LIMIT_S) == Exit.MODEL
        wait_for(lambda: any("nothing.tflite" in line for line in page.errors), LIMIT_S, "the reason")


def test_it_ends_by_itself(config: Path, running: Look) -> None:
    with look(config, "--port", "0", "--for", "0.5") as page:
        assert page.process.wait(LIMIT_S) == 0
    with look(config, "--port", urlsplit(running.url).netloc.partition(":")[2]) as page:
        assert page.process.wait(LIMIT_S) == Exit.COMMAND_LINE
        wait_for(lambda: any("--port" in line for line in page.errors), LIMIT_S, "the remedy")


def test_a_lane_without_pictures_is_refused(config: Path) -> None:
    with look(config, "nowhere") as page:
        assert page.process.wait(LIMIT_S) == Exit.COMMAND_LINE
        wait_for(lambda: any("yard, door" in line for line in page.errors), LIMIT_S, "the lanes")


def test_in_the_site_s_network_an_address_opens_one_browser_and_the_next_one_is_printed(
    config: Path, running: Look
) -> None:
    with look(config, "--lan", "127.0.0.1", "--port", "0") as page:
        first = Client(page.url)
        first.enter()
        assert first.ask("GET", "/")[0] == 200
        late = Client(page.urls[0])
        assert late.ask("GET", f"/?token={late.token}")[0] == 403
        wait_for(lambda: len(page.urls) == 2, LIMIT_S, "the next address")
        second = Client(page.urls[1])
        second.enter()
        assert second.ask("GET", "/")[0] == 200
        assert first.ask("GET", "/", Host=f"localhost:{first.port}")[0] == 421
        wait_for(lambda: len(page.urls) == 3, LIMIT_S, "the third")
        codes = [line for line in page.lines if "█" in line]
    assert _read_code(codes[: len(codes) // 3]) == page.urls[0]


def _read_code(lines: list[str]) -> str:
    """The QR code of the terminal: two modules a letter, one above the other; light is drawn."""
    rows: list[list[int]] = []
    for line in (line.rstrip("\n") for line in lines):
        rows.append([255 if letter in "█▀" else 0 for letter in line])
        rows.append([255 if letter in "█▄" else 0 for letter in line])
    wide = max(map(len, rows))
    picture = np.array([row + [255] * (wide - len(row)) for row in rows], np.uint8)
    picture = cv2.resize(picture, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST)
    return cv2.QRCodeDetector().detectAndDecode(cv2.copyMakeBorder(picture, 24, 24, 24, 24, cv2.BORDER_CONSTANT, value=(255,)))[0]  # fmt: skip


def test_many_browsers_at_once(client: Client) -> None:
    client.enter()
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(client.ask("GET", "/view?lane=yard")[0])) for _ in range(6)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert answers == [200] * 6


def test_a_host_that_holds_connections_open_gets_no_more_threads_than_the_device_can_spare(
    config: Path, running: Look
) -> None:
    with look(config, "--port", "0") as page:
        address = (Client(page.url).address, Client(page.url).port)
        held = [socket.create_connection(address, timeout=LIMIT_S) for _ in range(60)]
        wait_for(lambda: _threads(page.process.pid) > 20, LIMIT_S, "its threads")
        time.sleep(0.3)
        assert _threads(page.process.pid) < 40
        for connection in held:
            connection.close()
        client = Client(page.url)
        wait_for(lambda: _answers(client), LIMIT_S, "an answer")


def _threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))


def _answers(client: Client) -> bool:
    try:
        return client.ask("GET", "/")[0] == 403
    except (OSError, http.client.HTTPException):
        return False
