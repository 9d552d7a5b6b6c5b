"""What must hold of a store, a subscriber's file and both together, whatever happened to the agent, the broker and the road between them.

check_report(store, lines)              # what --report named is on the medium
check_windows(store)                    # every tick lies in exactly one summary of each grain, counts add up
settle(state, store)                    # waits until the subscriber has what was acknowledged
check_subscriber(state, store, device)  # what it has is what the store has
"""

import sqlite3
from pathlib import Path
from typing import Any

from peers.agents import opened, wait_for


def check_report(store: Path, lines: list[dict[str, Any]]) -> None:
    """What --report named is there: its last row, its last tick, and every number of every stream."""
    if not lines:
        return
    with opened(store) as connection:
        greatest = connection.execute(
            "SELECT max((SELECT coalesce(max(id), 0) FROM result), (SELECT coalesce(max(id), 0) FROM tick))"
        ).fetchone()[0]
        numbers = {
            (epoch, stream): last
            for epoch, stream, last in connection.execute(
                "SELECT e.text, n.text, s.last_seq FROM stream s JOIN epoch e ON e.id = s.epoch JOIN name n ON n.id = s.stream"
            )
        }
        last = lines[-1]
        assert greatest >= max(line["last_id"] for line in lines)
        if last["last_tick"]:
            assert connection.execute("SELECT count(*) FROM tick WHERE id = ?", (last["last_tick"],)).fetchone() == (1,)
        for line in lines:
            for stream, number in line["streams"].items():
                assert numbers[line["epoch"], stream] >= number


def check_windows(store: Path) -> None:
    """Every tick but those of the newest, open window of its lane lies in exactly one summary of each grain; counts add up."""
    with opened(store) as connection:
        for lane, grain in connection.execute("SELECT lane, grain FROM grain WHERE grain > 0").fetchall():
            ticks = [row[0] for row in connection.execute("SELECT id FROM tick WHERE lane = ? ORDER BY id", (lane,))]
            spans = connection.execute(
                "SELECT first_tick, last_tick FROM summary WHERE lane = ? AND grain = ? ORDER BY first_tick",
                (lane, grain),
            ).fetchall()
            covered = [tick for tick in ticks if any(first <= tick <= last for first, last in spans)]
            assert len(spans) > 3
            assert covered == ticks[: len(covered)], "a window in the middle has no summary"
            assert len(ticks) - len(covered) <= 4 * grain + 4
        assert connection.execute(
            "SELECT count(*) FROM tick WHERE seen <> gated + inferred + failed + dropped"
        ).fetchone() == (0,)
        orphans = connection.execute(
            "SELECT count(*) FROM result r WHERE NOT EXISTS (SELECT 1 FROM tick t WHERE t.lane = r.lane AND t.id > r.id)"
        ).fetchone()
        assert orphans == (0,), "results without the tick that counts them"


def stored_items(store: Path) -> set[tuple[str, str, int, bytes]]:
    with opened(store) as connection:
        return set(
            connection.execute(
                "SELECT e.text, n.text, i.seq, i.digest FROM item i JOIN epoch e ON e.id = i.epoch JOIN name n ON n.id = i.stream"
            )
        )


def received_items(state: Path, device: str) -> set[tuple[str, str, int, bytes]]:
    with opened(state) as connection:
        return set(connection.execute("SELECT epoch, stream, seq, digest FROM item WHERE device = ?", (device,)))


def settle(state: Path, store: Path) -> None:
    """Waits until the subscriber has as many items of this store as were acknowledged to the agent."""
    with opened(store) as connection:
        ((device,),) = connection.execute("SELECT device FROM epoch ORDER BY id DESC LIMIT 1").fetchall()
        due = connection.execute("SELECT count(*) FROM item WHERE state = 2").fetchone()[0]

    def there() -> bool:
        try:
            return len(received_items(state, device)) >= due
        except sqlite3.OperationalError:
            return False

    wait_for(there, 30, f"{due} items of {device}")


def lost_numbers(store: Path) -> dict[tuple[str, str, int], str]:
    """(epoch, stream, number) → why it is gone."""
    with opened(store) as connection:
        ranges = connection.execute(
            "SELECT e.text, n.text, l.first, l.last, l.why FROM lost l JOIN epoch e ON e.id = l.epoch JOIN name n ON n.id = l.stream"
        ).fetchall()
    return {
        (epoch, stream, number): why for epoch, stream, first, last, why in ranges for number in range(first, last + 1)
    }


def check_subscriber(state: Path, store: Path, device: str) -> None:
    """Its set of items is the store's, less what the store names as lost; the view adds up to the rows where none were removed."""
    stored, received, lost = stored_items(store), received_items(state, device), lost_numbers(store)
    with opened(store) as connection:
        todo = connection.execute("SELECT count(*) FROM item WHERE state < 2").fetchone()[0]
        removed = connection.execute("SELECT count(*) FROM removed").fetchone()[0]
    gone = {item[:3] for item in received - stored}
    assert {lost.get(number) for number in gone} <= {"sent"}, (
        "a number travelled with bytes that the store neither holds nor names as sent"
    )
    never = {number for number, why in lost.items() if why not in ("sent", "corrupt")}
    assert not never & {item[:3] for item in received}, "a number that never left was received"
    assert len(stored - received) <= todo, "an acknowledged item did not arrive"
    with opened(state) as connection:
        assert connection.execute("SELECT count(*) FROM conflict").fetchone() == (0,)
        view = dict(
            connection.execute(
                "SELECT lane, sum(seen) FROM summaries WHERE device = ? AND grain_s = 1 GROUP BY lane", (device,)
            )
        )
    if todo == 0 and not removed and not lost:
        with opened(store) as connection:
            rows = dict(
                connection.execute(
                    "SELECT n.text, sum(t.seen) FROM tick t JOIN name n ON n.id = t.lane JOIN summary s ON s.lane = t.lane AND s.grain = 1"
                    " AND t.id BETWEEN s.first_tick AND s.last_tick GROUP BY n.text"
                )
            )
        assert view == rows
