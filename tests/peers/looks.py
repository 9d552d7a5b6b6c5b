"""`edge-agent look` in a process of its own, and the addresses that it prints.

with look(config, "--port", "0") as page: page.url
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from peers.agents import PROJECT, wait_for

_LIMIT_S = 60.0


class Look:
    def __init__(self, config: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", "look", str(config), *arguments],
            cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._threads = [
            threading.Thread(target=_read, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def urls(self) -> list[str]:
        return [line.strip() for line in self.lines if line.startswith("http://")]

    @property
    def url(self) -> str:
        wait_for(lambda: self.urls or self.process.poll() is not None, _LIMIT_S, "the address")
        assert self.urls, "".join(self.errors)
        return self.urls[-1]

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(_LIMIT_S)


@contextmanager
def look(config: Path, *arguments: str) -> Iterator[Look]:
    running = Look(config, *arguments)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()
        for thread in running._threads:
            thread.join(_LIMIT_S)


def _read(stream: IO[str], into: list[str]) -> None:
    """Line by line as they come; until the other end is closed."""
    with stream:
        for line in stream:
            into.append(line)  # noqa: PERF402  at once, not at the end
