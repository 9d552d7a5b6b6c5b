"""A real Mosquitto on a free loopback port, its files in a folder of its own. Skips the test where Mosquitto is not installed.

with mosquitto(tmp_path) as broker:                     # anonymous, plain, nothing kept, default queue of 1,000
    broker.port; broker.url                             # mqtt://127.0.0.1:PORT
    broker.kill()                                       # SIGKILL: what was in memory is gone
    broker.restart()                                    # the same port, the same files
with mosquitto(tmp_path, persistence=True, users={"gate": "word"}, options=["max_queued_messages 10"]) as broker: ...
with mosquitto(tmp_path, tls=(ca_file, cert_file, key_file)) as broker: broker.url   # mqtts://localhost:PORT
"""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

START_LIMIT_S = 10.0


def program() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    def __init__(self, folder: Path, lines: Sequence[str], listener: Sequence[str], *, secure: bool) -> None:
        self.folder = folder
        self.secure = secure
        self.port = 0
        self._lines = list(lines)
        self._listener = list(listener)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtts://localhost:{self.port}" if self.secure else f"mqtt://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Takes a free port the first time (another program may be faster: then the next one), the same port afterwards."""
        for _ in range(1 if self.port else 5):
            port = self.port or free_port()
            config = self.folder / "mosquitto.conf"
            config.write_text("\n".join([*self._lines, f"listener {port} 127.0.0.1", *self._listener]) + "\n")
            with (self.folder / "mosquitto.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [program() or "mosquitto", "-c", str(config)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
            if self._answers(port):
                self.port = port
                return
            self.stop()
        pytest.fail(f"mosquitto did not start:\n{self.log}")

    def _answers(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=0.5):
                    # Another program may own the port: then our process has ended by now.
                    return self._process.poll() is None
            except OSError:
                time.sleep(0.02)
        return False

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In good order: with persistence, what is queued is on the disk afterwards."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.kill()
        self.start()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=5)
        self._process = None


@contextmanager
def mosquitto(
    folder: Path,
    *,
    persistence: bool = False,
    users: Mapping[str, str] | None = None,
    tls: tuple[Path, Path, Path] | None = None,
    options: Sequence[str] = (),
    listener_options: Sequence[str] = (),
) -> Iterator[Broker]:
    """folder: an existing folder, usually tmp_path. users: name → password; without it anybody may come. options, listener_options: lines of mosquitto.conf."""
    if program() is None:
        pytest.skip("mosquitto is not installed (apt-get install --no-install-recommends mosquitto)")
    home = folder / "mosquitto"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)  # started as root, mosquitto changes to its own user
    lines = ["log_dest stderr", "log_type error", "log_type warning", "log_type notice", "user root", *options]
    if persistence:
        lines += ["persistence true", f"persistence_location {home}/"]
    if users is None:
        lines.append("allow_anonymous true")
    else:
        passwords = home / "passwords"
        passwords.write_text("".join(f"{name}:{word}\n" for name, word in users.items()))
        subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, timeout=20)
        lines += ["allow_anonymous false", f"password_file {passwords}"]
    listener = []
    if tls is not None:
        ca_file, cert_file, key_file = tls
        listener = [f"cafile {ca_file}", f"certfile {cert_file}", f"keyfile {key_file}"]
    broker = Broker(home, lines, [*listener, *listener_options], secure=tls is not None)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
