"""Order, repetition, grouping and crashes cannot change the state; carried windows, status, poison, where judging begins."""

import random
import sqlite3
import tempfile
import zlib
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from peers.device_model import STREAM, DeviceModel

from agent.messages import batch, topics
from agent.messages.envelope import decode
from agent.messages.ledger import Ledger
from agent.subscriber import report
from agent.subscriber.errors import SubscriberError
from agent.subscriber.state import VERSION, VIEW_TABLES, dump
from agent.subscriber.verdict import verdicts
from agent.subscriber.view import View, open_view

NOW_S = 1_795_000_000.0
D = "north-farm/gate-07"
LIVE = topics.live(D, STREAM)


@cache
def messages() -> tuple[tuple[str, bytes], ...]:
    """A day of a hard-tried device: drops, missing PUBACKs, reboots, a restore, statuses, ledgers, a will; a damaged message."""
    device = DeviceModel(random.Random(11))
    device.publish_status()
    image = device.image()
    for step in range(25):
        device.result()
        device.result()
        device.send(drop=0.2, no_puback=0.5, most=3)
        if step % 3 == 0:
            device.next_window()
            device.publish_ledger()
        if step == 8:
            image = device.image()
        if step in (5, 12, 18):
            device.publish_status("lost" if step == 12 else "offline")
            device.reboot()
            device.publish_status()
        if step == 15:
            device.restore(image)
    device.send(most=50)
    device.publish_ledger()
    return (*device.out, (topics.ledger(D), b"{"), (LIVE, b'{"v":9}'))


@cache
def expected() -> list[tuple[object, ...]]:
    with tempfile.TemporaryDirectory() as folder, open_view(Path(folder) / "v.sqlite", start=1) as view:
        view.take(messages(), NOW_S)
        rows = dump(view.connection)
        assert {row[0] for row in rows} >= set(VIEW_TABLES) - {"conflict", "birth"}
        return rows


class _CrashError(Exception):
    pass


class _Crashing(list[tuple[str, bytes]]):
    """A group in whose middle the subscriber dies."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield from list.__iter__(self)
        raise _CrashError


def regroup(message: tuple[str, bytes], rng: random.Random) -> list[tuple[str, bytes]]:
    """A batch taken apart, or packed otherwise: single items, two batches, plain lines."""
    topic, payload = message
    if "/back/" not in topic:
        return [message]
    lines = batch.unpack(payload)
    rng.shuffle(lines)
    cut = rng.randint(0, len(lines))
    parts = [part for part in (lines[:cut], lines[cut:]) if part]
    how = rng.randint(0, 2)
    if how == 0:
        return [(topic, line) for line in lines]
    return [(topic, batch.pack(part, compress=how == 1)[0]) for part in parts]


@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.integers(0, 2**32), st.data())
def test_any_order_repetition_grouping_and_crash_gives_the_same_state(seed: int, data: st.DataObject) -> None:
    rng = random.Random(seed)
    sent = [part for message in messages() for part in regroup(message, rng)]
    again = data.draw(st.lists(st.sampled_from(sent), max_size=10))
    order = [*sent, *again]
    rng.shuffle(order)
    sizes = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=8))
    crashes = data.draw(st.lists(st.sampled_from(["", "", "before", "after"]), min_size=1, max_size=8))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.sqlite"
        turn = 0
        while order:
            # A crash ends the process: the file is opened again, and what was not acknowledged comes again.
            with open_view(path, start=1) as view:
                view.connection.execute("PRAGMA synchronous = OFF")
                while order:
                    size, crash = sizes[turn % len(sizes)], crashes[turn % len(crashes)]
                    turn += 1
                    group = order[:size]
                    if crash == "before":
                        with pytest.raises(_CrashError):
                            view.take(_Crashing(group), NOW_S)
                        break
                    view.take(group, NOW_S)
                    if crash == "after":
                        order += group[: size // 2]
                        del order[:size]
                        break
                    del order[:size]
                else:
                    assert dump(view.connection) == expected()
                    return
            crashes = [*crashes[1:], ""]
        with open_view(path, start=1) as view:
            assert dump(view.connection) == expected()


def window_counts(view: View) -> list[int]:
    return [int(seen) for (seen,) in view.connection.execute("SELECT seen FROM windows ORDER BY window_us")]


@pytest.fixture
def view(tmp_path: Path):  # type: ignore[no-untyped-def]
    with open_view(tmp_path / "v.sqlite", start=1) as opened:
        yield opened


def items(device: DeviceModel, epoch: int = -1) -> dict[int, bytes]:
    return device.store.epochs[epoch].streams[STREAM].items


def test_a_carried_window_counts_until_the_old_epoch_shows_it(view: View) -> None:
    device = DeviceModel(random.Random(1))
    device.result()
    device.next_window()
    device.result()
    image = device.image()  # one result in an open window
    device.result()
    device.next_window()
    whole = items(device)[3]  # two results: the old run went on
    device.restore(image)
    carried = items(device)[2]
    view.take([(LIVE, carried)], NOW_S)
    assert window_counts(view) == [1]
    view.take([(LIVE, whole)], NOW_S)
    assert window_counts(view) == [2]


def test_of_two_carried_windows_the_fullest_counts(view: View) -> None:
    device = DeviceModel(random.Random(2))
    device.result()
    image = device.image()
    device.result()
    fuller = device.image()
    device.restore(image)
    less = items(device)[2]
    device.restore(fuller)
    more = items(device)[2]
    view.take([(LIVE, more)], NOW_S)
    assert window_counts(view) == [2]
    view.take([(LIVE, less)], NOW_S)
    assert window_counts(view) == [2]


def test_a_correction_replaces_what_it_corrects_and_a_conflict_gives_it_back(view: View) -> None:
    device = DeviceModel(random.Random(3))
    device.result()
    device.next_window()
    first = items(device)[2]
    correction = first.replace(b'"seq":2', b'"seq":3').replace(b'"rev":0', b'"rev":1').replace(b'"seen":1', b'"seen":5')
    view.take([(LIVE, correction), (LIVE, first)], NOW_S)
    assert window_counts(view) == [5]
    view.take([(LIVE, correction.replace(b'"seen":5', b'"seen":6'))], NOW_S)
    assert window_counts(view) == [1]
    assert view.connection.execute("SELECT seq FROM conflict").fetchall() == [(3,)]


def test_a_conflict_is_never_complete(view: View) -> None:
    device = DeviceModel(random.Random(4))
    device.result()
    device.next_window()
    device.send(most=9)
    device.publish_ledger()
    view.take(device.out, NOW_S)
    (verdict,) = verdicts(view.connection, NOW_S)
    assert verdict.state == "complete"
    view.take([(LIVE, items(device)[2].replace(b'"cover":1.0', b'"cover":0.5'))], NOW_S)
    (verdict,) = verdicts(view.connection, NOW_S)
    assert verdict.state == "incomplete"
    assert verdict.streams[0].conflicts == [2]
    assert not verdict.streams[0].missing
    assert window_counts(view) == []


def test_a_late_will_does_not_put_a_newer_session_offline(view: View) -> None:
    device = DeviceModel(random.Random(5))
    device.publish_ledger()
    for state in ("online", "offline", "online", "lost"):
        device.publish_status(state)
    ledger, first, end, second, will = device.out
    late_will = (first[0], first[1].replace(b'"s":"online"', b'"s":"lost"'))
    for arrived, shown in (([ledger, first, end, second, late_will], "online"), ([will], "lost"), ([end], "lost")):
        view.take(arrived, NOW_S)
        assert verdicts(view.connection, NOW_S)[0].status == shown
    assert verdicts(view.connection, NOW_S)[0].state == "unknown"
    # The next boot is another epoch; what an ancestor says does not matter any more.
    device.reboot()
    device.publish_status()
    device.publish_ledger()
    view.take(device.out[-2:], NOW_S)
    view.take([will], NOW_S)
    assert verdicts(view.connection, NOW_S)[0].status == "online"


def test_poison_is_set_aside_with_its_bytes_and_the_rest_counts(view: View) -> None:
    device = DeviceModel(random.Random(6))
    device.result()
    device.next_window()
    gap, good = items(device)[1], items(device)[2]
    bad = [
        b"not json",
        b"\xff\xfe",
        good.replace(b'"v":1', b'"v":2').replace(b'"seq":2', b'"seq":7'),
        good.replace(b'"fr":{', b'"fx":{').replace(b'"seq":2', b'"seq":8'),
        good.replace(b'"seq":2', b'"seq":99999999999999999999'),
        good.replace(b"summary/yard/s10", b"summary/yard/m1"),
        good.replace(b'"w":["2026', b'"w":["20x6'),
        good[:-1] + b',"more":"\xff"}',
        good[:-1] + b',"deep":' + b"[" * 3000 + b"]" * 3000 + b"}",
    ]
    taken = view.take([(topics.back(D, STREAM), zlib.compress(b"\n".join([gap, *bad, good])))], NOW_S)
    assert (taken.new, taken.unreadable) == (2, len(bad))
    assert window_counts(view) == [1]
    kept = {bytes(row[0]) for row in view.connection.execute("SELECT bytes FROM unreadable")}
    assert kept == set(bad)
    whole = [
        zlib.compress(good)[:-3],
        zlib.compress(b" " * (2 << 20)),
        b"\x78\x9cgarbage",
        zlib.compress(good) + b"tail",
    ]
    taken = view.take([(topics.back(D, STREAM), one) for one in whole], NOW_S)
    assert (taken.new, taken.unreadable) == (0, len(whole))
    assert view.take([("edge/v1/x", b""), ("other", b""), (topics.command(D, "resend"), b"")], NOW_S).foreign == 3


def test_a_number_that_cannot_be_read_twice_is_not_asked_for_again(view: View) -> None:
    device = DeviceModel(random.Random(7))
    device.result()
    device.next_window()
    gap, item = items(device)[1], items(device)[2]
    device.publish_ledger()
    broken = item.replace(b'"fr":{', b'"fx":{')
    ledger = device.ledger()
    assert ledger.streams[STREAM].todo == [(1, 2)]
    device.store.epochs[0].streams[STREAM].acknowledged |= {1, 2}
    device.publish_ledger()
    view.take([(LIVE, gap), (LIVE, broken), device.out[-1]], NOW_S)
    assert verdicts(view.connection, NOW_S)[0].streams[0].missing == [(2, 2)]
    view.take([(LIVE, broken)], NOW_S)
    stream = verdicts(view.connection, NOW_S)[0].streams[0]
    assert (stream.missing, stream.unreadable) == ([], [2])
    view.take([(LIVE, item)], NOW_S)
    assert verdicts(view.connection, NOW_S)[0].state == "complete"


@pytest.mark.parametrize(("start", "from_number"), [(None, 4), (2, 2), (1, 1)])
def test_where_judging_begins(tmp_path: Path, start: int | None, from_number: int) -> None:
    device = DeviceModel(random.Random(8))
    for _ in range(2):
        device.result()
        device.next_window()
    device.store.epochs[0].streams[STREAM].acknowledged |= {1, 2, 3}
    device.publish_ledger()
    with open_view(tmp_path / "v.sqlite", start=start) as view:
        view.take(device.out, NOW_S)
        (verdict,) = verdicts(view.connection, NOW_S)
        assert verdict.streams[0].start == from_number
        assert verdict.state == ("complete" if start is None else "incomplete")
        # What begins later counts from 1.
        device.reboot()
        device.result()
        device.next_window()
        device.store.epochs[-1].streams[STREAM].acknowledged |= {1, 2}
        device.publish_ledger()
        view.take([device.out[-1]], NOW_S)
        (verdict,) = verdicts(view.connection, NOW_S)
        assert [(one.start, one.missing) for one in verdict.streams if one.epoch == device.epoch.text] == [
            (1, [(1, 2)])
        ]


def test_a_part_of_a_ledger_hides_nothing(view: View) -> None:
    device = DeviceModel(random.Random(9))
    device.result()
    device.next_window()
    device.store.epochs[0].streams[STREAM].acknowledged |= {1, 2}
    whole = device.publish_ledger()
    part = Ledger(
        **{name: getattr(whole, name) for name in whole.__struct_fields__} | {"n": 2, "streams": {}, "part": True}
    )
    from agent.messages.envelope import encode

    view.take([(topics.ledger(D), encode(part))], NOW_S)
    (verdict,) = verdicts(view.connection, NOW_S)
    assert verdict.state == "incomplete"
    view.take(device.out, NOW_S)  # the older, whole one comes late
    (verdict,) = verdicts(view.connection, NOW_S)
    assert verdict.streams[0].missing == [(1, 2)]
    view.take([(LIVE, body) for body in items(device).values()], NOW_S)
    assert verdicts(view.connection, NOW_S)[0].state == "complete"


def test_silence_and_undated_rows_are_not_complete(view: View) -> None:
    device = DeviceModel(random.Random(10))
    device.publish_ledger()
    view.take(device.out, NOW_S)
    assert verdicts(view.connection, NOW_S)[0].state == "complete"
    assert verdicts(view.connection, NOW_S + 100_000)[0].state == "unknown"
    topic, payload = device.out[0]
    undated = payload.replace(b'"n":1', b'"n":2').replace(b'"undated":{}', b'"undated":{"yard":[60,3]}')
    assert decode(undated, Ledger).undated == {"yard": (60, 3)}
    view.take([(topic, undated)], NOW_S)
    assert verdicts(view.connection, NOW_S)[0].state == "incomplete"


def test_the_same_epoch_under_two_names_is_reported(view: View) -> None:
    device = DeviceModel(random.Random(12))
    device.publish_ledger()
    topic, payload = device.out[0]
    view.take(device.out, NOW_S)
    view.take([(topic.replace("gate-07", "gate-08"), payload)], NOW_S)  # the body says another device
    assert view.connection.execute("SELECT count(*) FROM unreadable").fetchone() == (1,)
    view.take([(topic.replace("gate-07", "gate-08"), payload.replace(b"gate-07", b"gate-08"))], NOW_S)
    assert [one.state for one in verdicts(view.connection, NOW_S)] == ["incomplete", "incomplete"]


def test_a_renamed_device_goes_on(view: View) -> None:
    device = DeviceModel(random.Random(13))
    device.result()
    device.next_window()
    device.publish_ledger()
    device.d = "north-farm/gate-09"
    device.reboot()
    device.result()
    device.next_window()
    device.send(most=99)
    device.publish_ledger()
    view.take(device.out, NOW_S)
    found = verdicts(view.connection, NOW_S)
    assert [(one.device, one.state) for one in found] == [(D, "moved"), ("north-farm/gate-09", "complete")]
    assert report.complete(found)


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be read as one" * 40)
    with pytest.raises(SubscriberError, match="not a database"), open_view(tmp_path / "text.sqlite"):
        pass
    with (
        pytest.raises(SubscriberError, match=r"cannot be written \(No such file or directory\)"),
        open_view(tmp_path / "no" / "v.sqlite"),
    ):
        pass
    with (
        open_view(tmp_path / "v.sqlite"),
        pytest.raises(SubscriberError, match="another subscriber"),
        open_view(tmp_path / "v.sqlite"),
    ):
        pass


@pytest.mark.parametrize("version", [0, 1, 99])  # an agent's own store counts its versions likewise
def test_a_database_of_another_program_is_left_as_it_is(tmp_path: Path, version: int) -> None:
    path = tmp_path / "edge.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE tick (id INTEGER PRIMARY KEY); PRAGMA user_version = {version};")
    before = path.read_bytes()
    with pytest.raises(SubscriberError, match="another program's database"), open_view(path):
        pass
    assert path.read_bytes() == before


def test_a_stream_without_a_number_to_answer_for_is_told_in_words(tmp_path: Path) -> None:
    device = DeviceModel(random.Random(15))
    device.result()
    device.next_window()
    device.send(most=99)
    device.publish_ledger()
    with open_view(tmp_path / "late.sqlite") as view:  # begins after all that there is
        view.take([message for message in device.out if message[0].endswith("/ledger")], NOW_S)
        text = report.as_text(view.connection, verdicts(view.connection, NOW_S))
    assert f"{STREAM:<32} none from 3 " in text


def test_a_file_of_version_1_gets_the_views_of_today(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    with open_view(path, start=1) as view:
        view.take(messages()[:5], NOW_S)
        view.connection.executescript("DROP VIEW audit; DROP VIEW raw_results; PRAGMA user_version = 1")
    with open_view(path) as view:
        assert view.connection.execute("SELECT count(*) FROM raw_results").fetchone() == (0,)
        assert view.connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
        assert view.connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
