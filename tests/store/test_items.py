"""Numbers, bodies, marks; and that a ledger read at any moment is a partition of all numbers."""

import hashlib
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from peers.manual_clock import ManualClock

from agent.store import items, reader
from agent.store.connection import connect_to_read
from agent.store.settings import Config
from agent.store.transaction import Transaction
from agent.store.writer import Store, open_store
from agent.values import Bytes

ROOMY = Config(max_loss_s=60, keep_free=Bytes(0))
WAIT_S = 20.0


def do(store: Store, job: Callable[[Transaction], object]) -> None:
    store.submit(lambda transaction: (job(transaction), None)[1], ends_group=True).wait(WAIT_S)


def add(store: Store, stream: str, count: int, size: int = 10) -> None:
    def job(transaction: Transaction) -> None:
        for _ in range(count):
            items.append(transaction, stream, lambda number: b"%d" % number * size)

    do(store, job)


def test_bodies_know_their_number_and_keep_their_digest(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(77), device="s/n", settings=ROOMY) as store:
        add(store, "event/yard", 2)
        do(
            store,
            lambda transaction: items.append(transaction, "event/yard", lambda number: b"again %d" % number, of=1),
        )
        with store.read() as connection:
            stream = reader.streams(connection, store.epoch)["event/yard"].stream
            found = items.next_items(connection, store.epoch, stream, 0, 10, 10_000)
            assert [(item.seq, item.of, item.body, item.state) for item in found] == [
                (1, 1, b"1" * 10, 0), (2, 2, b"2" * 10, 0), (3, 1, b"again 3", 0),
            ]  # fmt: skip
            assert all(item.digest == hashlib.sha256(item.body).digest() and item.intact for item in found)
            assert found[0].stream_text == "event/yard"
            assert connection.execute("SELECT DISTINCT made_us FROM item").fetchall() == [(77,)]


def test_limits_by_number_and_bytes_always_give_one(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        add(store, "a", 5, size=100)
        with store.read() as connection:
            stream = reader.streams(connection, store.epoch)["a"].stream

            def numbers(after: int, limit: int, max_bytes: int) -> list[int]:
                return [item.seq for item in items.next_items(connection, store.epoch, stream, after, limit, max_bytes)]

            assert numbers(0, 3, 10_000) == [1, 2, 3]
            assert numbers(3, 3, 10_000) == [4, 5]
            assert numbers(0, 5, 250) == [1, 2]
            assert numbers(0, 5, 1) == [1]
            assert numbers(5, 5, 10_000) == []


def test_a_resend_finds_items_in_any_state_within_its_size(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        add(store, "a", 6, size=100)
        with store.read() as connection:
            ids = [number for (number,) in connection.execute("SELECT id FROM item ORDER BY seq")]
        do(store, lambda transaction: items.mark_acknowledged(transaction, ids[:2]))
        with store.read() as connection:
            asked = items.items_at(connection, store.epoch_text, "a", [(2, 3), (5, 9)])
            assert [(item.seq, item.state) for item in asked] == [(2, 2), (3, 0), (5, 0), (6, 0)]
            assert [
                item.seq for item in items.items_at(connection, store.epoch_text, "a", [(2, 3), (5, 9)], max_bytes=350)
            ] == [2, 3, 5]
            assert items.items_at(connection, "unknown", "a", [(1, 9)]) == []
            assert items.items_at(connection, store.epoch_text, "b", [(1, 9)]) == []


def test_marks_never_go_back(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        add(store, "a", 1)
        for mark, state in ((items.mark_handed, 1), (items.mark_acknowledged, 2), (items.mark_handed, 2)):
            do(store, lambda transaction, mark=mark: mark(transaction, [1]))
            with store.read() as connection:
                assert connection.execute("SELECT state FROM item").fetchone() == (state,)


def test_corrupt_bytes_become_lost_and_neighbours_join(tmp_path: Path) -> None:
    with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
        add(store, "a", 5)
        do(
            store,
            lambda transaction: transaction.connection.execute("UPDATE item SET body = x'00' WHERE seq IN (2, 3, 4)"),
        )
        with store.read() as connection:
            stream = reader.streams(connection, store.epoch)["a"].stream
            bad = [item for item in items.next_items(connection, store.epoch, stream, 0, 10, 10_000) if not item.intact]
        for place in (0, 2, 1):
            do(store, lambda transaction, item=bad[place]: items.mark_lost_corrupt(transaction, item))
        with store.read() as connection:
            state = reader.streams(connection, store.epoch)["a"]
        assert (state.hi, state.todo, state.lost) == (5, [(1, 1), (5, 5)], [(2, 4, "corrupt", None)])


def test_ledger_and_session_numbers_only_rise(tmp_path: Path) -> None:
    drawn: list[tuple[int, int]] = []
    for _ in range(2):
        with open_store(tmp_path, clock=ManualClock(), device="s/n", settings=ROOMY) as store:
            do(
                store,
                lambda transaction: drawn.append(
                    (items.draw_ledger_number(transaction), items.draw_session(transaction))
                ),
            )
    assert drawn == [(1, 1), (2, 2)]
    with closing(connect_to_read(tmp_path / "edge.sqlite")) as connection:
        assert reader.epochs(connection)[0].ledger_n == 2


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["append", "handed", "acknowledged", "held", "corrupt", "lose", "fail", "reboot"]),
        st.sampled_from(["a", "b"]), st.integers(1, 4), st.integers(1, 12),
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=25)
@given(ACTS)
def test_every_number_is_exactly_one_of_acknowledged_todo_held_lost(acts: list[tuple[str, str, int, int]]) -> None:
    expected: dict[tuple[str, str], dict[int, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        boot = 1
        left = list(acts)
        while True:
            with open_store(
                Path(folder), clock=ManualClock(boot=f"boot-{boot}"), device="s/n", settings=ROOMY
            ) as store:
                while left:
                    act, stream, count, first = left.pop(0)
                    if act == "reboot":
                        boot += 1
                        break
                    _act(
                        store,
                        act,
                        stream,
                        range(first, first + count),
                        expected.setdefault((store.epoch_text, stream), {}),
                    )
                    with store.read() as connection:
                        _check(reader.epochs(connection), expected)
                else:
                    return


def _act(store: Store, act: str, stream: str, numbers: range, expected: dict[int, str]) -> None:
    if act in ("append", "fail"):

        def append(transaction: Transaction) -> None:
            for _ in numbers:
                items.append(transaction, stream, lambda number: b"%d" % number)
            if act == "fail":
                raise ValueError

        try:
            do(store, append)
        except ValueError:
            return
        for _ in numbers:
            expected[len(expected) + 1] = "todo"
        return
    with store.read() as connection:
        found = items.items_at(connection, store.epoch_text, stream, [(numbers[0], numbers[-1])])
    found = [item for item in found if expected[item.seq] == "todo"]

    def change(transaction: Transaction) -> None:
        ids = [item.id for item in found]
        if act == "handed":
            items.mark_handed(transaction, ids)
        elif act == "acknowledged":
            items.mark_acknowledged(transaction, ids)
        elif act == "held":
            transaction.connection.executemany("UPDATE item SET state = 3 WHERE id = ?", [(number,) for number in ids])
        else:
            for item in found:
                if act == "corrupt":
                    items.mark_lost_corrupt(transaction, item)
                else:
                    items.lose(transaction, item.epoch, item.stream, item.seq, item.seq, "retention", '{"n":1}')
                    transaction.connection.execute("DELETE FROM item WHERE id = ?", (item.id,))

    do(store, change)
    for item in found:
        expected[item.seq] = {"handed": "todo", "corrupt": "lost", "lose": "lost"}.get(act, act)


def _check(epochs: list[reader.EpochState], expected: dict[tuple[str, str], dict[int, str]]) -> None:
    told: dict[tuple[str, str], dict[int, str]] = {}
    for epoch in epochs:
        for text, state in epoch.streams.items():
            numbers = told.setdefault((epoch.text, text), {})
            for word, ranges in (
                ("todo", state.todo),
                ("held", state.held),
                ("lost", [entry[:2] for entry in state.lost]),
            ):
                for first, last in ranges:
                    for number in range(first, last + 1):
                        assert number not in numbers, f"{number} is {numbers.get(number)} and {word}"
                        numbers[number] = word
            assert all(1 <= number <= state.hi for number in numbers)
            for number in range(1, state.hi + 1):
                numbers.setdefault(number, "acknowledged")
    assert told == {key: numbers for key, numbers in expected.items() if numbers}
