"""Bodies: the exact keys on the wire, round trips, schemas, batches, topics, times, the size limit of the ledger."""

import json
import random
import zlib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import batch, birth, commands, event, ledger, schema, status, summary, times, topics
from agent.messages.envelope import Quality, Unreadable, decode, encode, grain_seconds, grain_text

EPOCH = "9f3c2a71d04be618a1b2c3d4e5f60718"
OLD = "77e0" + "0" * 28
SHA = "sha256:ab12"
HEAD = f'"v":1,"d":"north-farm/gate-07","k":"%s","epoch":"{EPOCH}","st":"%s","seq":%d,"of":%d,"rev":0'
TAIL = '"at":"2026-11-24T03:01:00.400Z","tq":{"s":"ntp","e":35},"boot":17'

STATUS = (
    f'{{"v":1,"d":"north-farm/gate-07","s":"online","epoch":"{EPOCH}","boot":17,"sess":412,"at":"2026-11-24T03:00:05.000Z",'
    '"cfg":"sha256:ab12","undated":{},"why":null,"until":null}'
)
HELD = (
    f'{{"v":1,"d":"north-farm/gate-07","s":"held","epoch":"{EPOCH}","boot":17,"sess":412,"at":"2026-11-24T03:00:05.000Z",'
    '"cfg":"sha256:ab12","undated":{},"why":"budget","until":"2026-12-01T00:00:00Z"}'
)
SUMMARY = (
    "{"
    + HEAD % ("sum", "summary/yard/m1", 88231, 88231)
    + ","
    + TAIL
    + ',"w":["2026-11-24T03:00:00Z",60],"cfg":"sha256:ab12",'
    '"cover":1.0,"fr":{"seen":1500,"gated":1203,"inf":295,"drop":2,"fail":0},"models":{"faces":{"sha":"sha256:4f1c","inf":295,'
    '"n":{"face":12},"uniq":{"face":5},"lat":{"p50":14.6,"p95":21.2,"sk":{"g":0.02,"b":[[118,3],[119,20]]}}}},'
    '"zone":{"dock":{"face":{"in":3,"out":2,"now":1,"dwell":{"n":5,"sum":71.2,"max":31.0}}}},"line":{"entrance":{"face":{"in":4,"out":1}}},'
    '"sens":{"temp":{"n":60,"sum":1290.4,"sq":27757.1,"min":21.3,"max":21.7,"unit":"Cel"}},'
    '"cost":{"j":null,"tx":1841,"rx":212,"alt":31250000}}'
)
PLAIN_SUMMARY = (
    "{"
    + HEAD % ("sum", "summary/yard/m1", 2, 2)
    + ","
    + TAIL
    + ',"w":["2026-11-24T03:00:00Z",60],"cfg":"sha256:ab12","cover":0.0,'
    '"fr":{"seen":0,"gated":0,"inf":0,"drop":0,"fail":0},"models":{},"cost":{"j":null,"tx":null,"rx":null,"alt":null},'
    f'"carry":["{OLD}",41]}}'
)
GAP = "{" + HEAD % ("gap", "summary/yard/m1", 1, 1) + "," + TAIL + ',"gap":[null,"2026-11-24T02:58:10.000Z"]}'
EVENT = (
    "{"
    + HEAD % ("evt", "event/yard", 912, 912)
    + ","
    + TAIL
    + ',"t":["2026-11-24T03:00:12.310Z",null],"rule":"person-at-dock",'
    '"sev":"warn","phase":"start","track":771,"model":"faces","label":"person","score":0.91,"box":[0.41,0.22,0.55,0.8],"zone":"dock",'
    f'"media":{{"ref":"snap/{EPOCH}-912","digest":"sha256:00","bytes":48122}}}}'
)
LEDGER = (
    f'{{"v":1,"d":"north-farm/gate-07","epoch":"{EPOCH}","prev":"{OLD}","why":"boot","boot":17,"n":5120,"at":"2026-11-24T03:00:05.000Z",'
    '"streams":{"summary/yard/m1":{"hi":88231,"todo":[[88230,88231]],"held":[[86000,87999]],'
    '"lost":[[120,180,"retention",{"fr":{"seen":91500},"n":{"person":311}},null]]}},'
    f'"older":[{{"d":"north-farm/gate-07","epoch":"{OLD}","prev":null,"why":"new","n":880,'
    '"streams":{"summary/yard/m1":{"hi":88230,"todo":[],"held":[],"lost":[]}}}],"undated":{"yard":[60,3]},"part":false}'
)
BIRTH = (
    f'{{"v":1,"d":"north-farm/gate-07","epoch":"{EPOCH}","prev":null,"why":"new","boot":17,"at":"2026-11-24T03:00:05.000Z",'
    '"agent":"0.1.0","os":"Debian 12","hw":{"model":"Raspberry Pi 5","machine":"aarch64","ram_mb":8192,"cores":4},"cfg":"sha256:ab12",'
    '"tq":{"s":"ntp","e":35},"lanes":{"yard":{"source":"camera","models":{"faces":{"sha":"sha256:4f1c","decoder":"blazeface",'
    '"labels":["face"],"licence":"Apache-2.0","asked":["gpu","xnnpack"],"got":"xnnpack","why":"no GPU"}}}},'
    '"streams":{"summary/yard/m1":{"grain":60,"schema":"summary","units":{"temp":"Cel"}},"event/yard":{"grain":null,"schema":"event","units":{}}},'
    '"cmds":{"resend":1}}'
)
RESEND = f'{{"v":1,"id":"01J","caller":"cloud","args":{{"epoch":"{EPOCH}","st":"summary/yard/m1","ranges":[[3,9],[12,12]],"max_bytes":1000000}}}}'
ANSWER = '{"v":1,"id":"01J","code":"accepted","msg":"2 queued","data":{"queued":[[3,4]],"unknown":[[5,9]]}}'
AUDIT = (
    "{"
    + HEAD % ("aud", "audit", 3, 3)
    + ","
    + TAIL
    + ',"t":"2026-11-24T03:01:00.400Z","who":"ops@acme","cmd":"resend","id":"01J","code":"ok","msg":"3 items go out","count":1}'
)
RESULTS = (
    "{"
    + HEAD % ("res", "result/yard", 7, 7)
    + ","
    + TAIL
    + ',"n":3,"t":["2026-11-24T03:00:00.120Z","2026-11-24T03:00:00.320Z"],"dt":[0,0,200],"models":["faces"],"labels":["face","hand"],"m":0,"l":[0,1,0],'
    '"s":[9100,8300,9050],"box":[[1000,2000,1010],2000,[5000,6000,5010],9000],"track":null,"value":null,"x":null}'
)
HEALTH = (
    "{"
    + HEAD % ("hea", "health", 7, 7)
    + ","
    + TAIL
    + ',"machine":{"temp":48.3,"throttled":0,"memory":5000000000,"disk":20000000000},"store":123456789,"queues":{"health":1},'
    '"held":{"summary/yard/m1":2880},"lanes":{"yard":{"state":"running","age":0.2,"restarts":0}},"removed":{"retention":120},"faults":0,'
    '"budget":{"state":"coarse","month":20000000,"used":9000000,"left":11000000,"how":"measured",'
    '"moves":[["2026-11-24T02:58:00Z","lean","coarse","31% of what an even day and month would have left"]]}}'
)
REQUEST = '{"v":1,"id":"01J","caller":"ops@acme","args":{}}'
LEDGER_REQUEST = (
    f'{{"v":1,"id":"01J","caller":"ops@acme","args":{{"epoch":"{EPOCH}","st":null,"after":["{EPOCH}","event/yard"]}}}}'
)
GOLDEN: dict[str, tuple[str, str]] = {
    "status": ("status", STATUS),
    "birth": ("birth", BIRTH),
    "ledger": ("ledger", LEDGER),
    "summary": ("summary", SUMMARY),
    "summary-plain": ("summary", PLAIN_SUMMARY),
    "gap": ("gap", GAP),
    "event": ("event", EVENT),
    "audit": ("audit", AUDIT),
    "held": ("status", HELD),
    "health": ("health", HEALTH),
    "results": ("results", RESULTS),
    "request": ("request", REQUEST),
    "ledger-request": ("ledgerRequest", LEDGER_REQUEST),
    "resend": ("resend", RESEND),
    "answer": ("answer", ANSWER),
}


@pytest.mark.parametrize(("name", "text"), GOLDEN.values(), ids=GOLDEN)
def test_a_body_comes_back_byte_for_byte(name: str, text: str) -> None:
    assert encode(decode(text.encode(), schema.BODIES[name])).decode() == text


@pytest.mark.parametrize(("name", "text"), GOLDEN.values(), ids=GOLDEN)
def test_the_schema_takes_the_body_and_misses_each_key(name: str, text: str) -> None:
    described = schema.json_schema(name)
    jsonschema.Draft202012Validator.check_schema(described)
    validator = jsonschema.Draft202012Validator(described)
    body = json.loads(text)
    validator.validate(body)
    validator.validate(body | {"later": 1})
    for key in body:
        short = {other: value for other, value in body.items() if other != key}
        assert validator.is_valid(short) == (
            key in ("carry", "line", "sens") or (key == "zone" and name == "summary")
        ), key


def test_every_body_has_an_example() -> None:
    assert {name for name, _ in GOLDEN.values()} == set(schema.BODIES)


def test_the_schema_files_are_what_the_types_say() -> None:
    assert schema.stale(Path(__file__).parent.parent.parent / "docs" / "schemas") == []


def test_a_stale_schema_file_is_found(tmp_path: Path) -> None:
    assert schema.main(["--folder", str(tmp_path), "--write"]) == 0
    assert schema.main(["--folder", str(tmp_path), "--check"]) == 0
    (tmp_path / "asyncapi.json").write_text("{}")
    assert schema.main(["--folder", str(tmp_path), "--check"]) == 1


def test_unknown_keys_are_ignored_and_bad_bodies_say_why() -> None:
    assert decode(STATUS.replace('"boot"', '"later":[1],"boot"').encode(), status.Status).sess == 412
    for text, why in (
        ("{", "truncated"),
        (STATUS.replace('"v":1', '"v":2'), "2"),
        (STATUS.replace(EPOCH, "9F3C"), "epoch"),
        (STATUS.replace("north-farm/", ""), r"\$.d"),
        (STATUS.replace('"s":"online"', '"s":"maybe"'), "maybe"),
        (LEDGER.replace("[88230,88231]", "[88230]"), "todo"),
    ):
        with pytest.raises(Unreadable, match=why):
            decode(text.encode(), ledger.Ledger if text.startswith(LEDGER[:60]) else status.Status)


def test_times() -> None:
    at_us = times.parse("2026-11-24T03:00:12.31Z")
    assert times.text_ms(at_us) == "2026-11-24T03:00:12.310Z"
    assert times.text_s(at_us) == "2026-11-24T03:00:12Z"
    assert times.text_ms(at_us + 9_999) == "2026-11-24T03:00:12.319Z"
    assert times.parse("2026-11-24T05:00:12.31+02:00") == at_us
    for text in ("2026-11-24T03:00:12", "2026-11-24", "yesterday", ""):
        with pytest.raises(ValueError):
            times.parse(text)


@given(st.integers(0, 4_000_000_000_000))
def test_times_round_trip(ms: int) -> None:
    assert times.parse(times.text_ms(ms * 1000)) == ms * 1000


def test_grains() -> None:
    assert [grain_text(one) for one in (60, 3_600, 86_400, 5)] == ["m1", "h1", "d1", "s5"]
    assert [grain_seconds(one) for one in ("m1", "h1", "d1", "s5")] == [60, 3_600, 86_400, 5]
    for text in ("s60", "s0", "s05", "m2", ""):
        with pytest.raises(ValueError):
            grain_seconds(text)
    with pytest.raises(ValueError):
        grain_text(0)


def test_topics() -> None:
    device = topics.device_of("north-farm", "gate-07")
    assert topics.live(device, "summary/yard/m1") == "edge/v1/north-farm/gate-07/live/summary/yard/m1"
    assert topics.live(device, "summary/yard/m1").count("/") == 7
    for topic, parsed in (
        (topics.status(device), (device, "status", "")),
        (topics.ledger(device), (device, "ledger", "")),
        (topics.back(device, "event/yard"), (device, "back", "event/yard")),
        (topics.command(device, "resend"), (device, "cmd", "resend")),
        (topics.answer(device, "cloud"), (device, "ans", "cloud")),
    ):
        found = topics.parse(topic)
        assert found is not None
        assert (found.device, found.branch, found.rest) == parsed
    for topic in (
        "edge/v1/A/b/status",
        "edge/v1/a/b/status/x",
        "edge/v2/a/b/status",
        "edge/v1/a/b/live",
        "edge/v1/a/b/live/x/y/z/w",
    ):
        assert topics.parse(topic) is None
    assert topics.subscriptions("north-farm")[0] == "edge/v1/north-farm/+/status"
    assert topics.client_id(device) == "north-farm.gate-07"
    for bad in ("", "A", "-a", "a/b", "a" * 64, "+", "#"):
        with pytest.raises(ValueError):
            topics.device_of("north-farm", bad)
        with pytest.raises(ValueError):
            topics.subscriptions("x", bad)


def test_a_batch_is_the_same_lines() -> None:
    rng = random.Random(1)
    lines = [SUMMARY.replace("88231", str(rng.getrandbits(40))).encode() for _ in range(2_000)]
    found: list[bytes] = []
    for compress in (True, False):
        rest, found = lines, []
        while rest:
            payload, count = batch.pack(rest, compress=compress)
            assert count >= 1
            assert len(payload) <= batch.MAX_PACKED_BYTES
            assert payload[:1] == (b"\x78" if compress else b"{")
            found += batch.unpack(payload)
            rest = rest[count:]
        assert found == lines
    payload, count = batch.pack([lines[0] * 2_000, lines[1]], max_bytes=1_000)
    assert count == 1


def test_a_batch_is_never_more_than_its_reader_takes() -> None:
    lines = [b'{"a":"' + b"a" * 100_000 + b'"}'] * 50
    payload, count = batch.pack(lines)
    assert count < 50
    assert len(batch.unpack(payload)) == count
    with pytest.raises(ValueError):
        batch.pack([])


def test_damaged_batches_are_refused_whole() -> None:
    exact = b"a" * batch.MAX_UNPACKED_BYTES
    assert batch.unpack(zlib.compress(exact)) == [exact]
    for payload in (
        zlib.compress(exact + b"a"),
        zlib.compress(b"x" * (50 << 20)),
        zlib.compress(b"abc")[:-1],
        zlib.compress(b"abc") + b"x",
        b"\x78\x9c\x00\x00",
        b"{" * (batch.MAX_UNPACKED_BYTES + 1),
    ):
        with pytest.raises(Unreadable):
            batch.unpack(payload)
    assert batch.unpack(b"") == []


def random_ledger(rng: random.Random, streams: int, spans: int, epochs: int) -> ledger.Ledger:
    def one() -> ledger.StreamLedger:
        number, todo, lost = 0, [], []
        for _ in range(spans):
            number += rng.randint(2, 9)
            todo.append((number, number + rng.randint(0, 3)))
            number += rng.randint(5, 9)
            why = rng.choice(("sent", "retention"))
            lost.append(ledger.Lost(number, number + rng.randint(0, 3), why, {"fr": {"seen": rng.randint(0, 99)}}))
            number += 4
        return ledger.StreamLedger(hi=number, todo=todo, lost=lost)

    body = decode(LEDGER.encode(), ledger.Ledger)
    return msgspec.structs.replace(
        body,
        streams={f"summary/lane{index}/m1": one() for index in range(streams)},
        older=[
            msgspec.structs.replace(body.older[0], epoch=f"{index:032x}", streams={"summary/lane0/m1": one()})
            for index in range(epochs)
        ],
    )


@settings(max_examples=30)
@given(
    st.integers(0, 2**32),
    st.integers(1, 8),
    st.integers(0, 150),
    st.integers(0, 80),
    st.integers(3_000, 60_000),
)
def test_a_ledger_is_made_to_fit_and_hides_nothing(
    seed: int, streams: int, spans: int, epochs: int, limit: int
) -> None:
    whole = random_ledger(random.Random(seed), streams, spans, epochs)
    small, data = ledger.fit(whole, limit)
    assert decode(data, ledger.Ledger) == small
    assert len(data) <= limit
    assert small.part == (len(encode(whole)) > limit)
    if not small.part:
        assert small == whole
    # Each stream that is named has its hi, and every number of todo and lost is still in a range of its kind, with the count kept.
    for name, entry in small.streams.items():
        before = whole.streams[name]
        assert entry.hi == before.hi
        assert covers([one[:2] for one in entry.todo], [one[:2] for one in before.todo])
        assert sum(map(ledger.range_count, entry.todo)) == sum(map(ledger.range_count, before.todo))
        for why in ("sent", "retention"):
            kept = [one for one in entry.lost if one.why == why]
            given = [one for one in before.lost if one.why == why]
            assert covers([(one.first, one.last) for one in kept], [(one.first, one.last) for one in given])
            assert sum(one.count or one.last - one.first + 1 for one in kept) == sum(
                one.last - one.first + 1 for one in given
            )


def covers(ranges: list[Any], inner: list[Any]) -> bool:
    return all(any(first <= a and b <= last for first, last in ranges) for a, b in inner)


def test_what_a_ledger_leaves_out_first() -> None:
    whole = random_ledger(random.Random(3), 3, 40, 5)
    full = len(encode(whole))
    no_totals, _ = ledger.fit(whole, full - 100)
    assert all(one.totals is None for entry in no_totals.streams.values() for one in entry.lost)
    assert [len(entry.todo) for entry in no_totals.streams.values()] == [40, 40, 40]
    folded, _ = ledger.fit(whole, full // 4)
    assert set(folded.streams) == set(whole.streams)
    assert all(len(entry.todo[0]) == 3 for entry in folded.streams.values())
    unchanged = {(whole.epoch, "summary/lane1/m1")}
    sizes = [ledger.fit(whole, limit) for limit in range(1_000, 3_000, 50)]
    folded_bytes = min(
        len(data) for body, data in sizes if len(body.older) == 5 and all(one.streams for one in body.older)
    )
    least, _ = ledger.fit(whole, folded_bytes - 1, unchanged)
    assert len(least.older) == 5
    assert "summary/lane1/m1" not in least.streams
    assert {"summary/lane0/m1", "summary/lane2/m1"} <= set(least.streams)


def test_the_birth_digest_ignores_the_moment() -> None:
    one = decode(BIRTH.encode(), birth.Birth)
    later = msgspec.structs.replace(one, at="2026-11-24T04:00:05.000Z", tq=Quality(s="rtc", e=16_000))
    assert birth.digest(one) == birth.digest(later)
    assert birth.digest(one) != birth.digest(msgspec.structs.replace(one, agent="0.2.0"))


def test_kinds_do_not_mix() -> None:
    with pytest.raises(Unreadable):
        decode(GAP.encode(), summary.Summary)
    with pytest.raises(Unreadable):
        decode(EVENT.encode(), summary.Gap)
    with pytest.raises(Unreadable):
        decode(SUMMARY.encode(), event.Event)
    with pytest.raises(Unreadable):
        decode(RESEND.replace('"ranges":[[3,9],[12,12]]', '"ranges":[]').encode(), commands.ResendRequest)
