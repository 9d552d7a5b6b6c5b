"""Receives devices' items from an MQTT 5 broker, or from files, into a SQLite file, asks for what is missing, and says at the end whether anything is.

Runs until Ctrl-C, SIGTERM, --for, or with --until-complete until nothing is missing; then prints the report. Exit code 0: everything that the
devices had numbered is here; 1: something is missing, lost, unknown or came with two contents.
"""

import argparse
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli._seconds import seconds
from agent.problems import Exit, Problem

if TYPE_CHECKING:
    from agent.subscriber.period import Line, Period
    from agent.subscriber.verdict import DeviceVerdict
    from agent.subscriber.view import View


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="mqtts://broker.example.com:8883, or mqtt:// on this machine; left out: only the report",
    )
    parser.add_argument("--store", type=Path, required=True, metavar="FILE", help="SQLite file, made when absent")
    parser.add_argument(
        "--import",
        dest="files",
        type=Path,
        nargs="+",
        default=[],
        metavar="ITEMS",
        help="first take these files (`export --items`)",
    )
    parser.add_argument("--site", help="only devices of this site")
    parser.add_argument("--device", help="only devices of this name, or site/name")
    parser.add_argument(
        "--share",
        metavar="GROUP",
        help="one of several workers on this file: each item goes to one of them (a shared subscription)",
    )
    parser.add_argument(
        "--from",
        dest="start",
        type=_start,
        metavar="N",
        help="number from which a device's streams are judged when it is first seen; `start` or 1: all (left out: the next one)",
    )
    parser.add_argument(
        "--report",
        metavar="PERIOD",
        help="the report of a month or a day, 2026-11 or 2026-11-24 (UTC), a line a device and stream",
    )
    parser.add_argument("--csv", action="store_true", help="with --report: as CSV")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    parser.add_argument("--for", dest="for_s", type=seconds, metavar="S", help="stop after this many seconds")
    parser.add_argument("--until-complete", action="store_true", help="stop as soon as nothing is missing")
    parser.add_argument(
        "--ask-after",
        type=seconds,
        default=60.0,
        metavar="S",
        help="ask for a number that is missing this long (twice the devices' keepalive)",
    )
    parser.add_argument("--user", help="user at the broker")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="file that holds the password, nothing else")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust instead of the system's")
    parser.add_argument("--cert-file", type=Path, metavar="FILE", help="this subscriber's certificate")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="its key")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5", help="MQTT version of the broker (5)")
    parser.add_argument("--allow-plaintext", action="store_true", help="let mqtt:// leave this machine unencrypted")


def run(arguments: argparse.Namespace) -> int:
    from agent.subscriber.errors import SubscriberError  # only now: --help stays free of paho

    try:
        return _run(arguments)
    except SubscriberError as error:
        code = Exit.STORE if error.where == str(arguments.store) else Exit.NO
        if error.where.startswith("--"):
            code = Exit.COMMAND_LINE
        raise Problem(where=error.where, what=error.what, remedy=error.remedy, code=code) from None


def _run(arguments: argparse.Namespace) -> int:
    from agent.messages.topics import subscriptions
    from agent.subscriber import period, report, verdict
    from agent.subscriber.broker import broker
    from agent.subscriber.errors import SubscriberError
    from agent.subscriber.receive import Settings, receive
    from agent.subscriber.view import open_view
    from agent.subscriber.workers import take_place

    site, name = _device(arguments.site, arguments.device)
    try:
        subscriptions(site, name, arguments.share)
    except ValueError as error:
        raise Problem(
            where="--site, --device, --share",
            what=str(error),
            remedy="Give the names of the config",
            code=Exit.COMMAND_LINE,
        ) from None
    try:
        at = arguments.url and broker(
            arguments.url, user=arguments.user, password_file=arguments.password_file, ca_file=arguments.ca_file,
            cert_file=arguments.cert_file, key_file=arguments.key_file, allow_plaintext=arguments.allow_plaintext,
            protocol=arguments.protocol,
        )  # fmt: skip
        if at:
            at.tls()  # files that cannot be used are named before anything else happens
    except SubscriberError as error:
        raise Problem(where=error.where, what=error.what, remedy=error.remedy, code=Exit.COMMAND_LINE) from None
    asked = period.period(arguments.report) if arguments.report else None
    whole_period = False
    clock = _Clock()
    stop = threading.Event()
    with ExitStack() as stack:
        place = stack.enter_context(take_place(arguments.store)) if arguments.share else None
        settings = Settings(
            site=site, name=name, ask_after_s=arguments.ask_after, for_s=arguments.for_s, share=arguments.share, place=place
        )  # fmt: skip
        view = stack.enter_context(open_view(arguments.store, arguments.start, shared=arguments.share is not None))
        stack.enter_context(_signals(stop))

        def found() -> list[verdict.DeviceVerdict]:
            return [
                one for one in verdict.verdicts(view.connection, clock.utc_s())
                if site in (None, one.device.split("/")[0]) and name in (None, one.device.split("/")[1])
            ]  # fmt: skip

        def whole(now: list[verdict.DeviceVerdict]) -> bool:
            """Complete, and of something: the ledger of an agent that has just started names no number yet."""
            return report.complete(now) and any(one.streams for one in now)

        for path in arguments.files:
            _import(view, path, clock.utc_s())
        failure: SubscriberError | None = None
        live = at and not (arguments.json or arguments.report) and sys.stdout.isatty()
        shown = _Live(view, found, clock) if live else None
        if at:
            try:
                receive(
                    view, at, settings, clock=clock, stop=stop,
                    log=shown.note if shown else lambda text: print(text, file=sys.stderr, flush=True),
                    look=shown.draw if shown else None,
                    until=(lambda: whole(found())) if arguments.until_complete else None,
                )  # fmt: skip
            except SubscriberError as error:  # what the file holds is told all the same
                failure = error
        if shown:
            shown.end()
        last = found()
        if asked is not None:
            of_period = period.lines(view.connection, last, asked, clock.utc_s())
            print(_of_period(of_period, asked, arguments), end="")
            whole_period = period.complete(of_period)
        elif arguments.json:
            print(report.as_json(view.connection, last).decode())
        else:
            print(report.as_text(view.connection, last))
    if failure is not None:
        raise failure
    return int(Exit.DONE if (report.complete(last) if asked is None else whole_period) else Exit.NO)


class _Live:
    """The table on the terminal."""

    def __init__(self, view: "View", found: "Callable[[], list[DeviceVerdict]]", clock: "_Clock") -> None:
        from agent.subscriber import table

        self._view, self._found, self._clock, self._table = view, found, clock, table
        self._note = ""
        print(table.CLEAR, end="", flush=True)

    def note(self, text: str) -> None:
        self._note = text
        self.draw()

    def draw(self) -> None:
        columns, lines = shutil.get_terminal_size()
        heard = dict(self._view.connection.execute("SELECT device, heard_s FROM device"))
        text = self._table.screen(self._found(), heard, self._clock.utc_s(), columns, lines, self._note)
        print(text, end="", flush=True)

    def end(self) -> None:
        print(self._table.CLEAR, end="\x1b[H", flush=True)


def _of_period(found: "list[Line]", asked: "Period", arguments: argparse.Namespace) -> str:
    from agent.subscriber import period

    if arguments.csv:
        return period.as_csv(found)
    return (period.as_json(found, asked).decode() if arguments.json else period.as_text(found, asked)) + "\n"


def _import(view: "View", path: Path, now_s: float) -> None:
    """SubscriberError: it cannot be read."""
    from itertools import islice

    from agent.subscriber.items_file import Read, messages

    read, new = Read(), 0
    every = messages(path, read)
    while group := list(islice(every, 500)):
        new += view.take(group, now_s).new
    text = f"{path}: {read.lines} lines, {new} new items"
    if read.strange:
        text += f", {read.strange} lines are no items"
    if not read.whole:
        text += "; it does not end with a ledger: it was cut off"
    print(text, file=sys.stderr, flush=True)


class _Clock:
    """`agent.clock.SystemClock` in the seconds that the subscriber asks for."""

    def __init__(self) -> None:
        from agent.clock import SystemClock

        self._clock = SystemClock()

    def utc_s(self) -> float:
        reading = self._clock.reading()
        return (reading.at_us + reading.utc_offset_us) / 1e6

    def steady_s(self) -> float:
        return self._clock.boot_us() / 1e6


@contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop in good order, so that the report is printed."""

    def on_signal(_number: int, _frame: Any) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _device(site: str | None, device: str | None) -> tuple[str | None, str | None]:
    if device is None or "/" not in device:
        return site, device
    first, name = device.split("/", 1)
    if site not in (None, first):
        raise Problem(
            where="--device",
            what=f"{device} is not of site {site}",
            remedy="Give one of the two",
            code=Exit.COMMAND_LINE,
        )
    return first, name


def _start(text: str) -> int:
    if text != "start" and not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1, nor `start`")
    return 1 if text == "start" else int(text)
