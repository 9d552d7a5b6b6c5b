"""A capture that hangs in the library is left behind; when it comes back, it is released."""

import threading

from peers.agents import wait_for

from agent.sources._time_limited import TimeLimited, left_behind

LIMIT_S = 10.0


class Hanging:
    """As OpenCV's: hangs where it is told to, until it is let go."""

    def __init__(self, where: str) -> None:
        self.where, self.go = where, threading.Event()
        self.calls: list[str] = []

    def open(self) -> "Hanging":
        self._call("open")
        return self

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self.where:
            assert self.go.wait(LIMIT_S)

    def isOpened(self) -> bool:  # noqa: N802  as OpenCV has it
        return True

    def read(self) -> tuple[bool, str]:
        self._call("read")
        return True, "picture"

    def get(self, key: int) -> float:
        return 40.0 + key

    def release(self) -> None:
        self._call("release")


def test_what_does_not_hang_is_as_it_was() -> None:
    library = Hanging("")
    capture = TimeLimited(library.open, open_s=LIMIT_S, read_s=LIMIT_S)
    assert capture.isOpened()
    assert capture.read() == (True, "picture")
    assert capture.get(2) == 42.0
    capture.release()
    wait_for(lambda: library.calls == ["open", "read", "release"], LIMIT_S, "the release")
    assert capture.read() == (False, None)
    assert left_behind() == 0


def test_an_opening_that_hangs() -> None:
    library = Hanging("open")
    capture = TimeLimited(library.open, open_s=0.05, read_s=LIMIT_S)
    assert not capture.isOpened()
    assert capture.read() == (False, None)
    assert left_behind() == 1
    library.go.set()
    wait_for(lambda: left_behind() == 0, LIMIT_S, "its end")
    assert library.calls == ["open", "release"]


def test_a_read_that_hangs() -> None:
    library = Hanging("read")
    capture = TimeLimited(library.open, open_s=LIMIT_S, read_s=0.05)
    assert capture.isOpened()
    assert capture.read() == (False, None)
    capture.release()
    assert left_behind() == 1
    library.go.set()
    wait_for(lambda: left_behind() == 0, LIMIT_S, "its end")
    assert library.calls == ["open", "read", "release"]
