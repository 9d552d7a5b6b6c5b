"""What is remembered from start to start: which files passed their trial, and which delegate was chosen for what. One JSON file."""

import contextlib
import logging
import os
import threading
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

_log = logging.getLogger(__name__)
_NAME = "delegates.json"
_MOST = 500
_lock = threading.Lock()
# Of this process, also where nothing is written down.
_passed: set[str] = set()


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Of bare runs."""

    p50_ms: float
    p95_ms: float


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a model runs on and why. found: what was considered, in order. refused: delegate → why. measured: delegate → how fast.

    note: what else is to know of the chosen one. boot: a refusal that may be another one after the next boot holds only in this one.
    remembered: from an earlier start.
    """

    delegate: str
    found: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    measured: dict[str, Timing] = {}
    note: str = ""
    boot: str | None = None
    remembered: bool = False


class _File(msgspec.Struct, kw_only=True):
    passed: dict[str, int] = {}
    choices: dict[str, Choice] = {}


class Remembered:
    """Any thread. folder: None: only in this process. Whatever cannot be read or written is measured again."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def passed(self, key: str) -> bool:
        if key in _passed:
            return True
        return key in self._read().passed

    def add_passed(self, key: str) -> None:
        with _lock:
            _passed.add(key)
            file = self._read()
            file.passed[key] = 1
            self._write(file)

    def choice(self, key: str, boot: str) -> Choice | None:
        found = self._read().choices.get(key)
        if found is None or found.boot not in (None, boot):
            return None
        return msgspec.structs.replace(found, remembered=True)

    def add_choice(self, key: str, choice: Choice) -> None:
        with _lock:
            file = self._read()
            file.choices.pop(key, None)
            file.choices[key] = choice
            self._write(file)

    def remove_choice(self, key: str) -> None:
        with _lock:
            file = self._read()
            if file.choices.pop(key, None) is not None:
                self._write(file)

    def _read(self) -> _File:
        if self._folder is not None:
            with contextlib.suppress(OSError, ValueError):  # msgspec's errors are ValueErrors
                return msgspec.json.decode((self._folder / _NAME).read_bytes(), type=_File)
        return _File()

    def _write(self, file: _File) -> None:
        """Whole or not at all. Another process may write at the same time: what it adds is then measured once more."""
        if self._folder is None:
            return
        file.passed = dict(list(file.passed.items())[-_MOST:])
        file.choices = dict(list(file.choices.items())[-_MOST:])
        name = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=self._folder, prefix=_NAME, delete=False) as written:
                name = written.name
                written.write(msgspec.json.format(msgspec.json.encode(file), indent=1))
            os.replace(name, self._folder / _NAME)  # noqa: PTH105
        except OSError as error:
            _log.warning("cache=%s note=what is measured is not remembered: %s", self._folder, error.strerror)
            if name is not None:
                with contextlib.suppress(OSError):
                    os.unlink(name)  # noqa: PTH108
