"""Downloads from a loopback HTTPS server that a throw-away CA vouches for."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from peers.catalogue_entry import MODEL, entry_of, https, sha256, wheel_bytes
from peers.https_server import ConnectProxy, HttpsServer

from agent.catalogue import fetch
from agent.catalogue.https import download
from agent.problems import Problem


def test_a_file_with_progress(server: HttpsServer, cache: Path, tmp_path: Path) -> None:
    server.files["/thing"] = MODEL
    done: list[int] = []
    path = fetch.fetch_entry(entry_of(https(server.url("/thing"))), tmp_path, lambda step, count: done.append(count))
    assert path == cache / sha256(MODEL) / "thing.tflite"
    assert path.read_bytes() == MODEL
    assert done[-1] == len(MODEL)
    assert fetch.fetch_entry(entry_of(https(server.url("/thing"))), tmp_path) == path
    assert server.asked == ["/thing"]


def test_a_member_of_a_package(server: HttpsServer, tmp_path: Path) -> None:
    server.files["/tiny.whl"] = wheel_bytes({"tiny/model.tflite": MODEL})
    source = https(server.url("/tiny.whl"), member="tiny/model.tflite")
    assert fetch.fetch_entry(entry_of(source), tmp_path).read_bytes() == MODEL


def test_another_digest(server: HttpsServer, cache: Path, tmp_path: Path) -> None:
    server.files["/thing"] = b"something else"
    with pytest.raises(Problem, match=f"{sha256(b'something else')}.*{sha256(MODEL)}"):
        fetch.fetch_entry(entry_of(https(server.url("/thing"))), tmp_path)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("announced", [True, False])
def test_too_large(server: HttpsServer, tmp_path: Path, announced: bool) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if announced:
            request.send_header("Content-Length", "50000")
        request.end_headers()
        try:
            request.wfile.write(b"x" * 50_000)
        except OSError:
            pass

    server.files["/thing"] = answer
    with pytest.raises(Problem, match="more than the 4000 bytes allowed"):
        fetch.fetch_entry(entry_of(https(server.url("/thing")), size_bytes=1000), tmp_path)


def test_http_status(server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"127\.0\.0\.1 answered 404"):
        fetch.fetch_entry(entry_of(https(server.url("/absent"))), tmp_path)


def cut_short(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(MODEL)))
    request.end_headers()
    request.wfile.write(MODEL[:100])


def to_plain_http(request: BaseHTTPRequestHandler) -> None:
    request.send_response(302)
    request.send_header("Location", "http://127.0.0.1:1/thing")
    request.end_headers()


@pytest.mark.parametrize(
    ("answer", "what"), [(cut_short, "sent 100 of|cannot be reached"), (to_plain_http, "not https")]
)
def test_answers_that_are_refused(
    server: HttpsServer, tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None], what: str
) -> None:
    server.files["/thing"] = answer
    with pytest.raises(Problem, match=what):
        fetch.fetch_entry(entry_of(https(server.url("/thing"))), tmp_path)


def test_a_server_that_falls_silent(server: HttpsServer, tmp_path: Path) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(MODEL[:100])
        request.wfile.flush()
        request.rfile.read(1)  # until the client hangs up

    server.files["/thing"] = answer
    with pytest.raises(Problem, match="timed out"):
        download(
            server.url("/thing"), tmp_path / "got", fetch.unreported, where="here", max_bytes=10_000, silence_s=0.2
        )


def test_a_download_that_takes_too_long(server: HttpsServer, tmp_path: Path) -> None:
    server.files["/thing"] = MODEL
    now = iter((0.0, 601.0))
    with pytest.raises(Problem, match="took longer than 600 s"):
        download(
            server.url("/thing"),
            tmp_path / "got",
            fetch.unreported,
            where="here",
            max_bytes=10_000,
            monotonic=lambda: next(now),
        )


def test_a_certificate_that_nobody_vouches_for(
    server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/thing"] = MODEL
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(Problem, match="certificate verify failed") as caught:
        fetch.fetch_entry(entry_of(https(server.url("/thing"))), tmp_path)
    assert "SSL_CERT_FILE" in caught.value.remedy
    assert server.asked == []


def test_another_name_in_the_certificate(server: HttpsServer, tmp_path: Path) -> None:
    server.files["/thing"] = MODEL
    with pytest.raises(Problem, match="certificate"):
        fetch.fetch_entry(entry_of(https(server.url("/thing", "localhost"))), tmp_path)


def test_the_proxy_of_the_environment(server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is known to the proxy alone."""
    server.files["/thing"] = MODEL
    with ConnectProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        path = fetch.fetch_entry(entry_of(https("https://models.example/thing")), tmp_path)
    assert path.read_bytes() == MODEL
    assert proxy.asked == ["models.example:443"]
    assert server.asked == ["/thing"]


def test_nobody_there(server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(Problem, match="cannot be reached"):
        fetch.fetch_entry(entry_of(https("https://127.0.0.1:1/thing")), tmp_path)
