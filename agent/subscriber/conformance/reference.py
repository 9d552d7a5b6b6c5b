"""The subscriber of this package as a command that the conformance test runs: messages on standard input, what it makes of them on standard output."""

import base64
import json
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from agent.subscriber.conformance.bodies import NOW_S
from agent.subscriber.verdict import DeviceVerdict, verdicts
from agent.subscriber.view import View, open_view


class Line(msgspec.Struct, frozen=True, kw_only=True):
    topic: str
    payload: str


def main(lines: Iterable[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_view(Path(folder) / "view.sqlite", start=1) as view:
        for text in lines:
            line = msgspec.json.decode(text, type=Line)
            view.take([(line.topic, base64.b64decode(line.payload))], NOW_S)
        print(json.dumps({"devices": {one.device: described(view, one) for one in verdicts(view.connection, NOW_S)}}))


def described(view: View, one: DeviceVerdict) -> dict[str, Any]:
    received: dict[str, dict[str, int]] = defaultdict(dict)
    for epoch, stream, count in view.connection.execute(
        "SELECT epoch, stream, count(DISTINCT seq) FROM item WHERE device = ? GROUP BY epoch, stream", (one.device,)
    ):
        received[epoch][stream] = count
    return {
        "state": one.state,
        "view": windows(view.connection, one.device),
        "missing": sorted([stream.epoch, stream.stream, first, last] for stream in one.streams for first, last in stream.missing),
        "received": received,
    }  # fmt: skip


def windows(connection: sqlite3.Connection, device: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for stream, start_utc, seen in connection.execute(
        "SELECT stream, start_utc, sum(seen) FROM summaries WHERE device = ? GROUP BY stream, window_us", (device,)
    ):
        found[stream][_text(start_utc)] = {"seen": seen, "n": {}}
    for stream, start_utc, label, count in connection.execute(
        "SELECT stream, start_utc, label, sum(n) FROM results WHERE device = ? GROUP BY stream, window_us, label",
        (device,),
    ):
        found[stream][_text(start_utc)]["n"][label] = count
    return found


def _text(start_utc: str) -> str:
    return start_utc.replace(" ", "T") + "Z"


if __name__ == "__main__":
    main(sys.stdin)
