"""Window arithmetic: which UTC window a tick belongs to, and how consecutive ticks make runs. Pure functions, no SQL.

A tick belongs to the window that holds its last microsecond: at_us - 1 plus the UTC offset in force then. Consecutive ticks of a lane in one
window, one boot and one epoch are a run, and each run is a summary of its own: a clock that steps back makes two of one window, which the
subscriber adds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

SECOND_US = 1_000_000


class ClockRow(msgspec.Struct, frozen=True, kw_only=True):
    """From boot time `from_us` on, UTC is boot time plus `utc_offset_us`. after_id: the greatest row id when it was entered."""

    from_us: int
    utc_offset_us: int
    source: str
    error_ms: int
    after_id: int = 0


class EpochSpan(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch and the greatest row id before it: its rows are those with greater ids, up to the next epoch's `after_id`."""

    id: int
    text: str
    after_id: int


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive ticks of one lane in one window, one boot, one epoch. Their results have ids in (after_id, last_tick].

    dated: whether UTC is known; else the window is one of boot time.
    """

    start_us: int  # of the window: UTC, or boot time
    boot: int
    epoch: EpochSpan
    after_id: int
    first_tick: int
    last_tick: int
    last_at_us: int  # boot time of the last tick
    dated: bool = True

    def goes_on_with(self, start_us: int, boot: int, epoch: EpochSpan, *, dated: bool) -> bool:
        return (self.start_us, self.boot, self.epoch.id, self.dated) == (start_us, boot, epoch.id, dated)


def row_in_force(rows: Sequence[ClockRow], at_us: int) -> ClockRow:
    """The clock row that holds at a boot time; before the first one the first. rows: of one boot, at least one, by `from_us`."""
    return rows[max(0, bisect_right(rows, at_us, key=lambda row: row.from_us) - 1)]


def utc_of(rows: Sequence[ClockRow], at_us: int) -> int:
    """UTC, microseconds since 1970, of a moment of a boot."""
    return at_us + row_in_force(rows, at_us).utc_offset_us


def utc_of_end(rows: Sequence[ClockRow], at_us: int) -> int:
    """UTC of the end of a tick: by the offset of its last microsecond."""
    return at_us + row_in_force(rows, at_us - 1).utc_offset_us


def window_start(rows: Sequence[ClockRow], at_us: int, grain_s: int) -> int:
    """UTC of the start of the window that a tick ending at `at_us` belongs to."""
    last_us = utc_of_end(rows, at_us) - 1
    return last_us - last_us % (grain_s * SECOND_US)


def boot_window_start(at_us: int, grain_s: int) -> int:
    """Boot time of the start of the window that a tick ending at `at_us` belongs to while UTC is unknown."""
    last_us = at_us - 1
    return last_us - last_us % (grain_s * SECOND_US)


def epoch_of(epochs: Sequence[EpochSpan], row_id: int) -> EpochSpan:
    """The epoch that a row id belongs to. epochs: by id, so by `after_id` too."""
    return epochs[max(0, bisect_left(epochs, row_id, key=lambda epoch: epoch.after_id) - 1)]
