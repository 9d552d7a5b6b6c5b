"""Closes windows: a hook that the store thread runs inside each group, after its rows and before its commit.

A window of a lane and grain closes when a later tick of the lane lies in another one; when all its rows were there at the start and its end
has passed; and at once when its rows are older than the running epoch: no tick can join it any more, and it goes out as a carried item. What
is closed and what is open follows from the rows alone, so a killed agent goes on where it was. While UTC is unknown the rows wait for it, and go
undated after a while (`undated`). Other lanes' ticks close nothing: lanes that read files run ahead of each other.
"""

import sqlite3
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from agent.messages.envelope import summary_stream
from agent.store import items, kept
from agent.store.transaction import Hook, Transaction
from agent.summaries import bodies, content, merged, undated
from agent.summaries.gaps import append_gap
from agent.summaries.rows import Rows, last_number
from agent.summaries.windows import SECOND_US, Run, boot_window_start, epoch_of, window_start

MOST_WINDOWS = 500  # a group; the rest follows in the next ones
_RETRY_US = 3600 * SECOND_US
_ROWS_AT_ONCE = 4096

_TICKS = "SELECT id, boot, at_us FROM tick WHERE id > ? AND id <= ? AND lane = ? ORDER BY id LIMIT ?"
_NEWEST = "SELECT id, boot, at_us, lane FROM tick ORDER BY id DESC LIMIT 1"


def hook(
    config_digest: str,
    models: Mapping[str, Mapping[str, str]] = {},
    video: Collection[str] = (),
    *,
    units: Mapping[str, Mapping[str, str]] = {},
    video_bits_per_s: int = bodies.VIDEO_BITS_PER_S,
    merged_from: Mapping[int, int] = merged.FROM,
    undated_after_us: int = undated.AFTER_US,
) -> Hook:
    """The hook for `open_store`: what no row says about the lanes.

    models: lane → model → sha256 in hex. video: lanes whose input is video. units: lane → reading → unit, looked up when a window closes, so
    it may be filled while the lane runs. Which grains are made is the store's table `grain`; one that the config no longer lists is closed
    to its last row before the start and then given up. merged_from: grain → the finer one it is merged from; all others are read from rows.
    """
    patience = undated.Patience(undated_after_us)
    return Rollup(config_digest, models, video, units, video_bits_per_s, merged_from, patience).close_windows


class _Tick(NamedTuple):
    """The newest tick of the store."""

    id: int
    boot: int
    at_us: int
    lane: int


class _Series(msgspec.Struct, kw_only=True):
    """How far one lane and grain has been read."""

    lane: int
    lane_name: str
    grain_s: int
    from_id: int
    read_to: int  # ticks up to here are in `run` or in a summary
    tick_before: int  # the lane's newest tick up to there
    run: Run | None = None
    retry_at_us: int = 0
    waits_to_us: int = 0  # the next tick waits for the time, at least so long


class Rollup:
    """Keeps only what it can read again from the rows; whatever is unexpected makes it forget and read again."""

    def __init__(
        self,
        config_digest: str,
        models: Mapping[str, Mapping[str, str]],
        video: Collection[str],
        units: Mapping[str, Mapping[str, str]],
        video_bits_per_s: int,
        merged_from: Mapping[int, int],
        patience: undated.Patience,
    ) -> None:
        self._config_digest = config_digest
        self._models = models
        self._video = frozenset(video)
        self._units = units
        self._video_bits_per_s = video_bits_per_s
        self._merged_from = merged_from
        self._patience = patience
        self._rows = Rows()
        self._series: dict[tuple[int, int], _Series] = {}
        self._newest: _Tick | None = None
        self._newest_summary: tuple[int, int, int] | None = None
        self._start_tick: int | None = None  # the newest tick of earlier runs of the agent
        self._left = 0

    def close_windows(self, transaction: Transaction) -> None:
        newest = _Tick(*(transaction.connection.execute(_NEWEST).fetchone() or (0, 0, 0, 0)))
        if self._start_tick is None:
            self._start_tick = newest.id
        if not self._patience.begin(transaction, self._start_tick):
            return
        try:
            self._refresh(transaction)
            self._left = MOST_WINDOWS
            for key, series in sorted(
                self._series.items(), key=lambda pair: pair[0][1]
            ):  # what is merged comes after what it is of
                if series.retry_at_us <= transaction.now_us and self._left:
                    given_up = self._given_up(transaction, series)
                    if self._advance(transaction, series, self._start_tick if given_up else newest.id) and given_up:
                        self._give_up(transaction.connection, key)
            self._newest = newest if newest.id else None
            if not self._left:
                transaction.again = True
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._rows.forget()
        self._series.clear()
        self._newest = self._newest_summary = None

    def _refresh(self, transaction: Transaction) -> None:
        """Takes in new clock rows and grains; forgets what no longer agrees with the store (a group was undone after the hook had run)."""
        connection = transaction.connection
        if not self._agrees(connection):
            self._forget()
        if self._rows.refresh(transaction):
            self._series.clear()  # a clock row that came late may date ticks that an open run has already taken
        for lane, grain_s, from_id in connection.execute("SELECT lane, grain, from_id FROM grain WHERE grain > 0"):
            if (lane, grain_s) not in self._series:
                self._series[lane, grain_s] = self._open_series(connection, lane, grain_s, from_id)

    def _agrees(self, connection: sqlite3.Connection) -> bool:
        newest, summary = self._newest, self._newest_summary
        if newest is not None:
            row = connection.execute("SELECT id, boot, at_us, lane FROM tick WHERE id = ?", (newest.id,)).fetchone()
            if row != newest:
                return False
        if summary is not None:
            query = "SELECT 1 FROM summary WHERE lane = ? AND grain = ? AND first_tick = ?"
            return connection.execute(query, summary).fetchone() is not None
        return True

    def _open_series(self, connection: sqlite3.Connection, lane: int, grain_s: int, from_id: int) -> _Series:
        row = connection.execute(
            "SELECT last_tick FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick DESC LIMIT 1",
            (lane, grain_s),
        ).fetchone()
        read_to = max(from_id - 1, 0 if row is None else int(row[0]))
        return _Series(
            lane=lane, lane_name=self._rows.name(connection, lane), grain_s=grain_s, from_id=from_id,
            read_to=read_to, tick_before=read_to,
        )  # fmt: skip

    def _advance(self, transaction: Transaction, series: _Series, until: int) -> bool:
        """Reads the ticks up to an id and closes what is over. True when none of them is left, nor an open run."""
        place = f"summary {series.lane_name} {series.grain_s} s"
        try:
            if (finer_s := self._merged_from.get(series.grain_s)) is not None:
                return self._merge(transaction, series, finer_s, until)
            while series.read_to < until and self._patience.now_us >= series.waits_to_us:
                ticks = transaction.connection.execute(
                    _TICKS, (series.read_to, until, series.lane, _ROWS_AT_ONCE)
                ).fetchall()
                for tick, boot, at_us in ticks:
                    if not self._take(transaction, series, tick, boot, at_us):
                        return False
                if len(ticks) < _ROWS_AT_ONCE:
                    series.read_to = until
            if series.run is not None and self._left and self._is_over(transaction, series, series.run):
                self._close(transaction, series, series.run)
        except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
            # Rows that do not add up are this lane's fault alone; they are read before anything is written for their window.
            transaction.faults[place] = f"{type(error).__name__}: {error}"
            series.retry_at_us = transaction.now_us + _RETRY_US
            return False
        transaction.faults.pop(place, None)
        return series.run is None and series.read_to >= until

    def _merge(self, transaction: Transaction, series: _Series, finer_s: int, until: int) -> bool:
        """Closes the merged windows that are over. True when nothing is left that may still become one."""
        connection, finer = transaction.connection, self._series.get((series.lane, finer_s))
        # The time is known now, and some finer windows are still to get it: until then only what went out before can be closed.
        redating = transaction.utc_offset_us is not None and kept.read(connection, kept.UNDATED) is not None
        found = merged.groups(connection, series.lane, series.grain_s, finer_s, series.read_to, self._rows.epochs)
        all_read = finer is None or finer.read_to >= until
        while found and self._left:
            group = found[0]
            if redating and (len(found) == 1 or found[1].dated):
                return False
            if len(found) == 1 and not (all_read and self._is_merged(transaction, series, finer, group)):
                break
            self._close(transaction, series, group.run(connection), merged.content(connection, group, finer_s))
            series.read_to = group.last_tick
            found.pop(0)
        return not found and all_read and (finer is None or finer.run is None or self._given_up(transaction, series))

    def _is_merged(self, transaction: Transaction, series: _Series, finer: _Series | None, group: merged.Group) -> bool:
        """Whether nothing more can come to the newest merged window."""
        run = finer.run if finer is not None else None
        if finer is None or self._given_up(transaction, series):
            return True  # the hour that is still open is told by itself alone
        if run is not None:
            return not group.is_of(run, series.grain_s)
        if group.epoch.id != transaction.epoch:
            return True
        if self._start_tick is None or group.last_tick > self._start_tick:
            return False
        now_us = transaction.now_us + (transaction.utc_offset_us or 0) * group.dated
        return now_us >= group.start_us + series.grain_s * SECOND_US

    def _take(self, transaction: Transaction, series: _Series, tick: int, boot: int, at_us: int) -> bool:
        """A tick joins the open run, or closes it and begins one. False when this group may close no more windows."""
        dated = self._patience.dating(transaction, self._rows, series.lane, series.grain_s, tick, boot, at_us)
        if not isinstance(dated, bool):
            series.waits_to_us = dated
            if series.run is not None and self._left:
                self._close(transaction, series, series.run)
            return False
        clock = self._rows.clock(transaction.connection, boot)
        start_us = window_start(clock, at_us, series.grain_s) if dated else boot_window_start(at_us, series.grain_s)
        epoch = epoch_of(self._rows.epochs, tick)
        if series.run is not None and not series.run.goes_on_with(start_us, boot, epoch, dated=dated):
            if not self._left:
                return False
            self._close(transaction, series, series.run)
        if series.run is None:
            series.run = Run(
                start_us=start_us, boot=boot, epoch=epoch, after_id=max(series.tick_before, epoch.after_id),
                first_tick=tick, last_tick=tick, last_at_us=at_us, dated=dated,
            )  # fmt: skip
        else:
            series.run = msgspec.structs.replace(series.run, last_tick=tick, last_at_us=at_us)
        series.read_to = series.tick_before = tick
        return True

    def _is_over(self, transaction: Transaction, series: _Series, run: Run) -> bool:
        if run.epoch.id != transaction.epoch or self._given_up(transaction, series) or not run.dated:
            return True
        if self._start_tick is None or run.last_tick > self._start_tick:
            return False
        now_us = transaction.now_us + (transaction.utc_offset_us or 0)
        return now_us >= run.start_us + series.grain_s * SECOND_US

    def _given_up(self, transaction: Transaction, series: _Series) -> bool:
        return series.grain_s not in transaction.grains.get(series.lane_name, ())

    def _give_up(self, connection: sqlite3.Connection, key: tuple[int, int]) -> None:
        connection.execute("DELETE FROM grain WHERE lane = ? AND grain = ?", key)
        del self._series[key]

    def _close(self, transaction: Transaction, series: _Series, run: Run, read: content.Content | None = None) -> None:
        """The item and the summary row of a run; before the first item of its stream in this epoch a gap item. read: None: from its rows."""
        connection, lane = transaction.connection, series.lane_name
        read = read or content.read(
            connection, lambda number: self._rows.name(connection, number), series.lane, run.after_id, run.first_tick,
            run.last_tick,
        )  # fmt: skip
        stream = summary_stream(lane, series.grain_s)
        stream_id = transaction.name("stream", stream)
        if last_number(connection, transaction.epoch, stream_id) == 0:
            append_gap(transaction, self._rows, stream, series.lane, series.from_id)
        carry = None
        if run.epoch.id != transaction.epoch:
            carry = (run.epoch.text, last_number(connection, run.epoch.id, stream_id))
        facts = bodies.LaneFacts(
            models=self._models.get(lane, {}),
            units=self._units.get(lane, {}),
            video_bits_per_s=self._video_bits_per_s if lane in self._video else 0,
        )
        body = bodies.make_summary(
            transaction, stream, config_digest=self._config_digest, facts=facts, grain_s=series.grain_s, run=run,
            clock=self._rows.clock(connection, run.boot), content=read, carry=carry,
        )  # fmt: skip
        number = items.append(transaction, stream, body)
        connection.execute(
            "INSERT INTO summary (lane, grain, first_tick, last_tick, boot, start_us, rev, epoch, stream, seq, dated)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)",
            (
                series.lane, series.grain_s, run.first_tick, run.last_tick, run.boot, run.start_us, transaction.epoch,
                stream_id, number, run.dated,
            ),
        )  # fmt: skip
        if not run.dated and run.boot == transaction.boot:
            undated.remember(transaction)
        self._newest_summary = (series.lane, series.grain_s, run.first_tick)
        self._left -= 1
        series.run = None
