"""Logs: stderr, one line a fact, `key=value`; a fault that repeats is said once, then hourly with its count."""

import logging
import sys
from typing import Any

HOUR_US = 3_600_000_000
# Different faults remembered of one place, those that came last.
_TEXTS = 8


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')} {record.levelname.lower()} {record.name.removeprefix('agent.')} {record.getMessage()}"
        if record.exc_info and logging.getLogger().isEnabledFor(logging.DEBUG):
            text += "\n" + self.formatException(record.exc_info)
        return text.replace("\r", " ") if record.exc_info else " ".join(text.splitlines())


def configure(level: str = "info") -> None:
    """Sends the agent's logs to stderr; called by the commands that run for long."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def fact(what: str, **values: Any) -> str:
    """One log line: `what` and its values; texts with blanks are quoted."""
    return " ".join([what, *(f"{key}={_quoted(value)}" for key, value in values.items())])


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if " " in text else text


class Repeated:
    """Says a fault when it is new, then at most hourly with how often it came; `gone` says the end of it.

    One place may have several faults in turns (gone, then refused, then gone): each is said once.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[str, dict[str, tuple[int, int]]] = {}  # key: text: said at, times since

    def fault(self, key: str, text: str, now_us: int, *, again: bool = True) -> None:
        """again: it has come anew; False for one that is only seen to go on."""
        texts = self._said.setdefault(key, {})
        said_us, times = texts.pop(text, (None, 0))
        if said_us is not None and now_us - said_us < HOUR_US:
            texts[text] = (said_us, times + again)
            return
        self._logger.warning("%s%s", text, f" times={times + again}" if said_us is not None else "")
        texts[text] = (now_us, 0)
        if len(texts) > _TEXTS:
            del texts[next(iter(texts))]

    def gone(self, key: str, text: str) -> None:
        if self._said.pop(key, None) is not None:
            self._logger.info("%s", text)
