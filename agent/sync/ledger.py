"""The ledger as published: its number is drawn in the store, then its ranges are read in one snapshot, so that every number up to each
stream's `hi` is exactly one of acknowledged, todo, held, lost.
"""

import sqlite3
from typing import Any

import msgspec

from agent.clock import Clock, Reading
from agent.messages import ledger as messages
from agent.messages import times
from agent.store import items, outbox, reader
from agent.store.transaction import Transaction
from agent.store.writer import Store


class Ledgers:
    """Makes ledgers; remembers what the last one said, so that an unchanged one is not sent again."""

    def __init__(self, store: Store, device: str, clock: Clock) -> None:
        self._store = store
        self._device = device
        self._clock = clock
        self._said: bytes | None = None
        self._whole: dict[tuple[str, str], messages.StreamLedger] = {}
        self._confirmed: dict[tuple[str, str], messages.StreamLedger] = {}
        # Older epochs whose entry may differ from the one published last. None: this process has published none yet.
        self._unsettled: set[int] | None = None

    def changed(self) -> bool:
        """Would a ledger say anything else than the last one?"""
        return self._content(self._read(0)) != self._said

    def make(self, max_bytes: int, timeout_s: float) -> bytes:
        """A ledger under a new number. timeout_s: for the store. Problem, TimeoutError: the store did not give the number."""
        drawn: list[int] = []
        unsettled = self._unsettled

        def draw(transaction: Transaction) -> None:
            outbox.raise_ledger_numbers(transaction, unsettled)
            drawn.append(items.draw_ledger_number(transaction))

        self._store.submit(draw, ends_group=True, timeout_s=timeout_s).wait(timeout_s)
        ledger = self._read(drawn[-1])
        self._said = self._content(ledger)
        self._whole = _streams(ledger)
        unchanged = frozenset(key for key, entry in self._whole.items() if self._confirmed.get(key) == entry)
        fitted, data = messages.fit(ledger, min(messages.MAX_LEDGER_BYTES, max_bytes), unchanged)
        if fitted.part:
            self._whole = {key: entry for key, entry in _streams(fitted).items() if self._whole.get(key) == entry}
        return data

    def confirmed(self) -> None:
        """The broker has the last one."""
        self._confirmed = {**self._confirmed, **self._whole}

    def _read(self, number: int) -> messages.Ledger:
        with self._store.read() as connection:
            ledger = read_ledger(connection, self._device, self._clock.reading(), number)
            if number:
                self._unsettled = outbox.unsettled_epochs(connection)
        return ledger

    @staticmethod
    def _content(ledger: messages.Ledger) -> bytes:
        older = [msgspec.structs.replace(entry, n=0) for entry in ledger.older]
        return msgspec.json.encode(msgspec.structs.replace(ledger, n=1, at="", older=older))


def read_ledger(connection: sqlite3.Connection, device: str, reading: Reading, number: int) -> messages.Ledger:
    """The whole ledger of one snapshot, under this number."""
    running, *older = reader.epochs(connection)
    return messages.Ledger(
        d=device,
        epoch=running.text,
        prev=running.prev,
        why=running.why,
        boot=running.boot,
        n=max(1, number),
        at=times.text_ms(reading.at_us + reading.utc_offset_us),
        streams=stream_ledgers(running),
        older=[
            messages.Older(
                d=epoch.device,
                epoch=epoch.text,
                prev=epoch.prev,
                why=epoch.why,
                n=epoch.ledger_n,
                streams=stream_ledgers(epoch),
            )
            for epoch in older
        ],
        undated=reader.undated(connection),
    )


def stream_ledgers(epoch: reader.EpochState) -> dict[str, messages.StreamLedger]:
    return {
        name: messages.StreamLedger(
            hi=state.hi,
            todo=list(state.todo),
            held=list(state.held),
            lost=[messages.Lost(first, last, why, _totals(totals)) for first, last, why, totals in state.lost],
        )
        for name, state in epoch.streams.items()
    }


def _totals(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _streams(ledger: messages.Ledger) -> dict[tuple[str, str], messages.StreamLedger]:
    found = {(ledger.epoch, name): entry for name, entry in ledger.streams.items()}
    for older in ledger.older:
        found.update({(older.epoch, name): entry for name, entry in older.streams.items()})
    return found
