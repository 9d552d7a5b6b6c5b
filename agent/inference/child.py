"""A child process that runs a model, seen from the agent: started, asked under a time and memory limit, ended. It may die in any way."""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

import agent
from agent.inference._child_messages import PACKET_BYTES, Answer, Failed, Request, Unfit
from agent.problems import Exit, Problem

_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from agent.inference import _child_main; "
    "_child_main.main(int(sys.argv[2]), int(sys.argv[3]))"
)
_REMEDY = "Take it out of delegates, or update its driver"
_TICK_S = 0.2
# A process that the kernel holds in a driver does not end when it is killed: nobody waits for it.
_END_S = 0.3
# Memory and log are looked at now and then also while all goes well.
_LOOK_EVERY = 256
_LOG_BYTES = 16_384
_LONGEST_LINE = 200
_NOISE = re.compile(
    r"^(?:INFO|VERBOSE)\b|^I\d{4} |Logging before InitGoogle|^\s*$|^=+|^\s+at |^└?\s*$|^Fatal Python|^  File"
)
_MARK = re.compile(r"^(?:ERROR|WARNING|Warning|Error)?:?\s*|^[EWF]\d{4} \S+\s+\d+ ")
_PLACE = re.compile(r"^(?:\[[\w./]+:\d+\]|[\w./]+\.(?:cc|cpp|h):\d+\]?)\s*:?\s*")


class Gone(Problem):
    """The child is no more: it died, or was ended because it did not answer or took too much. how: in words, without whose process it was.

    by_itself: nobody ended it.
    """

    how = ""
    by_itself = False


class Child:
    """One thread asks at a time; any thread may `kill`. name: whose process it is, in words: `gpu`."""

    def __init__(
        self, name: str, *, where: str, memory_bytes: int | None = None, stop: threading.Event | None = None
    ) -> None:
        """memory_bytes: resident; beyond it the process is ended. stop: set by whoever gives up waiting for it.

        Problem (Exit.MODEL): the system starts no process.
        """
        self._name, self._where, self._memory_bytes, self._stop = name, where, memory_bytes, stop
        self._asked = 0
        self._answers = msgspec.json.Decoder(Answer)
        self._said = b""
        self._killed = threading.Event()
        self._closed = False
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        lifeline, self._lifeline = os.pipe()
        self._log, log = os.pipe()
        for end in (self._log, log):  # what nobody reads is lost, and holds nobody up
            fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
        self._connection = ours
        paths = json.dumps([str(Path(agent.__file__).parents[1]), *filter(None, sys.path)])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, paths, str(theirs.fileno()), str(lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(), lifeline),
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        except OSError as error:
            self._close_ends()
            raise self._problem(f"no process can be started: {error.strerror}") from None
        finally:
            theirs.close()
            os.close(lifeline)
            os.close(log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Request, *, limit_s: float, descriptors: tuple[int, ...] = ()) -> Answer:
        """Gone: the process died, or took too long or too much memory and is ended. Problem (Exit.MODEL): that is what it answers."""
        self._asked += 1
        self._read_log()
        self._said = b""
        if self._asked % _LOOK_EVERY == 0:
            self._check_memory()
        try:
            socket.send_fds(self._connection, [msgspec.json.encode(request)], list(descriptors))
        except OSError:
            raise self._gone() from None
        end_ns = time.monotonic_ns() + int(limit_s * 1e9)
        while not self._ready(end_ns):
            if time.monotonic_ns() >= end_ns:
                raise self._ended(f"it did not answer within {limit_s:.3g} s")
            if self._killed.is_set() or (self._stop is not None and self._stop.is_set()):
                raise self._ended("it is no longer wanted")
            self._check_memory()
        try:
            packet = self._connection.recv(PACKET_BYTES)
        except OSError:
            packet = b""
        if not packet:
            raise self._gone()
        try:
            answer: Answer = self._answers.decode(packet)
        except msgspec.MsgspecError:
            raise self.mad() from None
        if isinstance(answer, Failed):
            where = f"{self._where}.{answer.key}" if answer.key else self._where
            kind = Unfit if answer.lasting else Problem
            raise kind(where=where, what=answer.what, remedy=answer.remedy or _REMEDY, code=Exit.MODEL)
        return answer

    def _ready(self, end_ns: int) -> bool:
        """Whether there is an answer, or the end; waits a tick at most."""
        waiting = select.poll()
        waiting.register(self._connection, select.POLLIN)
        left_s = min(_TICK_S, max(0.0, (end_ns - time.monotonic_ns()) / 1e9))
        return bool(waiting.poll(left_s * 1000 + 1))

    def _check_memory(self) -> None:
        self._read_log()
        if self._memory_bytes is None:
            return
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        except (OSError, ValueError, IndexError):
            return
        if pages * os.sysconf("SC_PAGE_SIZE") > self._memory_bytes:
            raise self._ended(f"it took more than {self._memory_bytes / 1e6:.0f} MB of memory")

    def _ended(self, how: str) -> Gone:
        self.kill()
        return self._problem(how)

    def mad(self) -> Gone:
        """What it answers cannot be: it is ended."""
        return self._ended("its answer makes no sense")

    def _gone(self) -> Gone:
        """The process ended by itself: how."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return self._ended("it closed its connection")
        if code >= 0:
            how = f"its process ended with code {code}"
        elif code == -signal.SIGXCPU:
            how = "it took too much processor time"
        else:
            known = -code in set(signal.Signals)
            how = f"its process died of {signal.Signals(-code).name if known else f'signal {-code}'}"
        last = self.last_line
        gone = self._problem(f"{how} ({last})" if last else how)
        gone.by_itself = True
        return gone

    def _problem(self, how: str) -> Gone:
        gone = Gone(where=self._where, what=f"{self._name}: {how}", remedy=_REMEDY, code=Exit.MODEL)
        gone.how = how
        return gone

    def _read_log(self) -> None:
        if self._closed:
            return
        with contextlib.suppress(OSError):
            while part := os.read(self._log, 65_536):
                self._said = (self._said + part)[-_LOG_BYTES:]

    @property
    def said(self) -> str:
        """What the process wrote to its standard output and error since it was last asked, at most the end of it."""
        self._read_log()
        return self._said.decode(errors="replace")

    @property
    def last_line(self) -> str:
        """The last line that it wrote that is no chatter, "" when there is none."""
        for line in reversed(self.said.splitlines()):
            if not _NOISE.search(line):
                return _PLACE.sub("", _MARK.sub("", line.strip())).strip()[:_LONGEST_LINE]
        return ""

    def kill(self) -> None:
        """At once. Who waits for an answer gets a Problem."""
        self._killed.set()
        self._process.kill()

    def close(self) -> None:
        """Ends the process; an orderly end is not waited for: nothing in it is worth saving."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # a driver that the kernel itself waits for
            self._process.wait(_END_S)
        self._read_log()
        self._close_ends()

    def _close_ends(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._connection.close()
        for descriptor in (self._lifeline, self._log):
            with contextlib.suppress(OSError):
                os.close(descriptor)
