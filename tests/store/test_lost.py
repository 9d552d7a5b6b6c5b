"""What `lost` says: ranges of one reason join with their totals added, and never more of them than a bound."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.store_by_hand import StoreByHand

from agent.store import item_removal, items, lost, outbox
from agent.store.epochs import fold_epochs
from agent.store.transaction import Transaction
from agent.summaries.totals import totals

S = 1_000_000
T0_US = 1_800_000_000 * S


@pytest.fixture
def device() -> StoreByHand:
    device = StoreByHand({}, list)
    device.learn(T0_US)
    device.commit()
    return device


def rows(transaction: Transaction) -> list[tuple[int, int, str, str | None]]:
    return transaction.connection.execute("SELECT first, last, why, totals FROM lost ORDER BY first").fetchall()


def test_neighbours_of_one_reason_join_and_their_totals_add_up(device: StoreByHand) -> None:
    def total(count: int, start: int) -> str:
        return f'{{"fr":{{"seen":{count}}},"n":{{"face":{count}}},"w":["2026-11-24T0{start}:00:00Z","2026-11-24T0{start + 1}:00:00Z"]}}'

    t = device.transaction
    lost.lose(t, 1, 1, 1, 1, "retention", total(3, 1))
    lost.lose(t, 1, 1, 3, 3, "retention", total(5, 3))
    assert len(rows(t)) == 2
    lost.lose(t, 1, 1, 2, 2, "retention", total(7, 2))
    ((first, last, why, text),) = rows(t)
    assert (first, last, why) == (1, 3, "retention")
    assert msgspec.json.decode(text or "") == {
        "fr": {"seen": 15}, "n": {"face": 15}, "w": ["2026-11-24T01:00:00Z", "2026-11-24T04:00:00Z"],
    }  # fmt: skip


def test_other_reasons_other_knowledge_and_other_streams_stay_apart(device: StoreByHand) -> None:
    t = device.transaction
    lost.lose(t, 1, 1, 1, 1, "retention", "{}")
    lost.lose(t, 1, 1, 2, 2, "retention", None)
    lost.lose(t, 1, 1, 3, 3, "sent")
    lost.lose(t, 1, 2, 4, 4, "sent")
    assert [row[:3] for row in rows(t)] == [(1, 1, "retention"), (2, 2, "retention"), (3, 3, "sent"), (4, 4, "sent")]


@given(st.permutations(range(1, 15)), st.lists(st.sampled_from(["sent", "retention"]), min_size=14, max_size=14))
def test_in_any_order_the_ranges_are_the_same(order: list[int], reasons: list[str]) -> None:
    device = StoreByHand({}, list)
    transaction = device.transaction
    for number in order:
        why = reasons[number - 1]
        lost.lose(transaction, 1, 1, number, number, why, None if why == "sent" else f'{{"n":{{"a":{number}}}}}')
    found = rows(transaction)
    assert [number for first, last, _, _ in found for number in range(first, last + 1)] == list(range(1, 15))
    for first, last, why, text in found:
        assert set(reasons[first - 1 : last]) == {why}
        if why != "sent":
            assert msgspec.json.decode(text or "") == {"n": {"a": sum(range(first, last + 1))}}
    assert all(one[2] != other[2] for one, other in pairwise(found))


def test_a_stream_has_at_most_so_many_ranges_and_a_purge_stays_named(
    device: StoreByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost, "MOST", 40)
    t = device.transaction
    lost.lose(t, 1, 1, 1, 3, "privacy", "{}")
    for number in range(4, 400):
        lost.lose(t, 1, 1, number, number, "sent" if number % 2 else "retention", None if number % 2 else "{}")
        assert len(rows(t)) <= 40
    found = rows(t)
    assert found[0][:3] == (1, 3, "privacy")
    assert [number for first, last, _, _ in found for number in range(first, last + 1)] == list(range(1, 400))
    assert all(text is None for _, _, why, text in found if why == "sent")


def body(labels: dict[str, int], seen: int) -> bytes:
    return msgspec.json.encode({
        "k": "sum", "w": ["2026-11-24T03:00:00Z", 60], "fr": {"seen": seen, "gated": 0, "inf": seen, "drop": 0, "fail": 0},
        "models": {"faces": {"n": labels}},
    })  # fmt: skip


def test_corrections_go_together_and_totals_are_what_never_left(device: StoreByHand) -> None:
    t = device.transaction
    first = items.append(t, "summary/yard/m1", lambda _: body({"face": 3}, 10))
    items.append(t, "summary/yard/m1", lambda _: body({"face": 1}, 4))
    items.append(t, "summary/yard/m1", lambda _: body({"face": 5}, 12), of=first)
    items.append(t, "summary/yard/m1", lambda _: body({"face": 5, "hand": 2}, 20), of=first)
    items.append(t, "event/yard", lambda _: b"{}")  # the newest of all
    items.mark_handed(t, [1])
    chosen = item_removal.oldest_unacknowledged(t.connection, t.epoch, 1, set(), last_streams=False)
    groups = item_removal.whole_groups(t.connection, chosen)
    assert item_removal.remove(t, groups, "retention", totals) == 3
    found = {(first, last, why): text for first, last, why, text in rows(t)}
    assert found[1, 1, "sent"] is None
    added = msgspec.json.decode(found[3, 4, "retention"] or "")
    assert added["n"] == {"face": 2, "hand": 2}
    assert added["fr"]["seen"] == 10
    left = t.connection.execute("SELECT seq FROM item WHERE stream = ?", (t.name("stream", "summary/yard/m1"),))
    assert left.fetchall() == [(2,)]


def test_an_item_that_became_lost_is_not_handed_over(device: StoreByHand) -> None:
    t = device.transaction
    for _ in range(3):
        items.append(t, "event/yard", lambda _: b"{}")
    read = items.next_items(t.connection, t.epoch, t.name("stream", "event/yard"), 0, 10, 1 << 20)
    groups = item_removal.whole_groups(
        t.connection, item_removal.oldest_unacknowledged(t.connection, t.epoch, 1, set(), last_streams=True)
    )
    item_removal.remove(t, groups, "retention", None)
    assert items.mark_handed(t, [item.id for item in read]) == {read[0].id}
    items.mark_lost_corrupt(t, read[0])  # who found it damaged meanwhile enters nothing twice
    assert [row[:3] for row in rows(t)] == [(1, 1, "retention")]


def test_an_old_epoch_is_folded_when_all_of_it_is_gone_for_long(device: StoreByHand, tmp_path: Path) -> None:
    t = device.transaction
    stream = t.name("stream", "event/yard")
    text = t.epoch_text
    for _ in range(6):
        items.append(t, "event/yard", lambda _: b"{}")
    items.mark_handed(t, [1, 2, 3, 4])
    for last_streams in (False, True):
        chosen = item_removal.oldest_unacknowledged(t.connection, t.epoch, 10, set(), last_streams=last_streams)
        item_removal.remove(t, item_removal.whole_groups(t.connection, chosen), "retention", None)
    assert outbox.fate(t.connection, text, "event/yard").lost == [(1, 4, "sent"), (5, 6, "retention")]
    device.start("boot-two")
    t = device.transaction
    fold_epochs(t, 7 * 86_400.0)
    assert len(rows(t)) == 2, "keep_sent begins now"
    for _ in range(8 * 24):
        device.now_us += 3_600 * S
        device.learn(T0_US + device.now_us)
        device.commit()
    device.transaction.now_us = device.now_us
    fold_epochs(t, 7 * 86_400.0)
    assert [row[:3] for row in rows(t)] == [(5, 6, "retention")]
    told = outbox.fate(t.connection, text, "event/yard")
    assert (told.hi, told.lost) == (6, [(1, 4, "sent"), (5, 6, "retention")])
    assert stream == t.name("stream", "event/yard")
