"""The order in which raw rows go, and where it has got to: each class goes through the ids once, then over those that became removable since."""

from agent.store import raw_rows, trusted
from agent.store.lost import SENT
from agent.store.raw_rows import Slice
from agent.store.transaction import Transaction

# Reasons beside those of `lost`, in the table `removed`.
AGE, UNDATED, OPEN = "age", "undated", "open"

_ROWS = 1_000


class RawClasses:
    def __init__(self) -> None:
        self._running: dict[str, Slice] = {}
        self._handled: dict[str, dict[int, int]] = {}

    def press(self, transaction: Transaction, why: str) -> bool:
        """A slice of what goes first: rows whose windows are acknowledged, all that are summed up, rows of boots that never learnt the time.

        False when there is nothing of all that.
        """
        for reason in (SENT, why, UNDATED):
            found = self._class(transaction, reason)
            if found is not None:
                if found.remove(transaction, reason, _ROWS) and reason == UNDATED:
                    raw_rows.remember_last_id(transaction)
                return True
        return False

    def _class(self, transaction: Transaction, reason: str) -> Slice | None:
        """Where a class is; None when there is nothing more of it for now."""
        found = self._running.get(reason)
        if found is not None and not found.done:
            return found
        handled = self._handled.setdefault(reason, {})
        if found is not None:
            handled.update(found.upto)
            del self._running[reason]
        upto, only = self._bounds(transaction, reason, handled)
        news = [handled.get(lane, 0) for lane, last in upto.items() if last > handled.get(lane, 0)]
        if not news:
            return None
        self._running[reason] = Slice(min(news), upto, raw_rows.kept(transaction), only)
        return self._running[reason]

    @staticmethod
    def _bounds(transaction: Transaction, reason: str, handled: dict[int, int]) -> tuple[dict[int, int], str]:
        """Lane → up to which id, and a condition."""
        connection = transaction.connection
        undated = ",".join(map(str, raw_rows.undated_boots(connection, transaction.boot)))
        if reason == UNDATED:
            # Their windows go out undated first; what is behind the last of them will be in none.
            summed = raw_rows.summed_to(connection, transaction.after_id)
            upto = {lane: min(last, transaction.after_id) for lane, last in summed.items()} if undated else {}
            return upto, f"boot IN ({undated})"
        upto = raw_rows.summed_to(connection, transaction.last_id)
        if reason == SENT:
            first = raw_rows.first_id(connection)
            for lane in upto:
                known = raw_rows.acknowledged_to(connection, lane, max(first, handled.get(lane, 0) + 1))
                upto[lane] = min(upto[lane], 0 if known is None else known)
        return upto, f"boot NOT IN ({undated})" if undated else "true"


def remove_open(transaction: Transaction) -> bool:
    """A slice of results whose windows are open. The ticks that counted their inputs stay, so only counts by label become too small."""
    top = dict.fromkeys(raw_rows.lanes(transaction.connection), transaction.last_id)
    after = raw_rows.first_id(transaction.connection) - 1
    gone = Slice(after, top, raw_rows.Kept(), tables=("result",)).remove(transaction, OPEN, _ROWS)
    if gone:
        raw_rows.remember_last_id(transaction)
    return gone > 0


class Aged:
    """One look at all rows that are older than an age, boot by boot."""

    def __init__(self, transaction: Transaction, age_s: float) -> None:
        connection = transaction.connection
        before = trusted.boot_us_before(connection, transaction.boot, transaction.now_us, round(age_s * 1e6))
        summed, first = raw_rows.summed_to(connection, transaction.last_id), raw_rows.first_id(connection)
        kept = raw_rows.kept(transaction)
        drawn = connection.execute("SELECT boot, min(after_id) FROM epoch GROUP BY boot ORDER BY 2").fetchall()
        self._left: list[tuple[Slice, int, int]] = []
        for place, (boot, after) in enumerate(drawn):
            end = drawn[place + 1][1] if place + 1 < len(drawn) else transaction.last_id
            before_us = before.get(boot, 0)
            if end >= first and before_us > 0:
                upto = {lane: min(last, end) for lane, last in summed.items()}
                rows = Slice(max(after, first - 1), upto, kept, f"boot = {boot} AND at_us < {before_us}")
                self._left.append((rows, boot, before_us))

    def remove(self, transaction: Transaction) -> bool:
        """A slice. False when all has been looked at."""
        if not self._left:
            return False
        rows, boot, before_us = self._left[0]
        rows.remove(transaction, AGE, _ROWS)
        # Rows are in the order of time: where they are young, the rest of their table is.
        if rows.last_at is not None and (rows.last_at[0] > boot or rows.last_at[1] >= before_us):
            rows.skip()
        if rows.done:
            self._left.pop(0)
        return True
