"""The live table of `subscribe` on a terminal: a line a device and stream, drawn over the one before."""

from collections.abc import Sequence

from agent.subscriber import ranges
from agent.subscriber.streams import StreamVerdict
from agent.subscriber.verdict import DeviceVerdict

_HOME, _TO_LINE_END, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"
CLEAR = "\x1b[2J"
# What matters most stands within 80 columns.
_HEAD = f"{'device':<20} {'verdict':<10} {'stream':<20} {'missing':>7} {'received':>9} {'last':>9} {'todo':>6} {'held':>6} {'lost':>6}  heard"
_ORDER = {"incomplete": 0, "unknown": 1, "complete": 2, "moved": 3}


def screen(
    found: Sequence[DeviceVerdict], heard_s: dict[str, float], now_s: float, columns: int, lines: int, note: str
) -> str:
    """What to write to the terminal. heard_s: device → when it was last heard, seconds since 1970. note: the newest word about the link."""
    rows = [row for one in sorted(found, key=_place) for row in _rows(one, now_s - heard_s.get(one.device, now_s))]
    room = max(1, lines - 3)
    if len(rows) > room:
        rows = [*rows[: room - 1], f"… {len(rows) - room + 1} more lines"]
    text = [_HEAD, *(rows or ["no device was heard yet"]), "", note]
    return _HOME + "\n".join(line[:columns] + _TO_LINE_END for line in text) + _TO_END


def _place(one: DeviceVerdict) -> tuple[int, str]:
    """What needs a person comes first."""
    return _ORDER[one.state], one.device


def _rows(one: DeviceVerdict, age_s: float) -> list[str]:
    names = sorted({stream.stream for stream in one.streams})
    heard = f"{_age(age_s)} ago"
    if not names:
        return [f"{one.device:<20} {one.state:<10} {'–':<20} {'':>48}  {heard}"]
    found = []
    for place, name in enumerate(names):
        streams = [stream for stream in one.streams if stream.stream == name]
        word = one.state if place == 0 else "" if all(stream.whole for stream in streams) else "incomplete"
        device, last = (one.device, heard) if place == 0 else ("", "")
        found.append(f"{device:<20} {word:<10} {name:<20} {_numbers(streams)}  {last}".rstrip())
    return found


def _numbers(streams: Sequence[StreamVerdict]) -> str:
    def total(name: str) -> int:
        return sum(ranges.count(getattr(stream, name)) for stream in streams)

    lost = sum(last - first + 1 for stream in streams for first, last, _ in stream.lost)
    missing = total("missing") + total("unreachable") + sum(len(stream.unreadable) for stream in streams)
    received = sum(stream.received + stream.ahead for stream in streams)
    return f"{missing:>7} {received:>9} {streams[0].hi:>9} {total('todo'):>6} {total('held'):>6} {lost:>6}"


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
