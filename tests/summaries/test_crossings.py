"""A day's zones and lines from its hours."""

from agent.messages.envelope import Quality, decode, encode
from agent.messages.summary import Cost, Inputs, Latency, ModelCounts, Sketch, Summary
from agent.summaries.crossings import Moved, Stays, from_body, line_counts, merged, zone_counts

MORNING = Moved(
    {"people": {"person": 3}},
    {},
    {"dock": {"person": Stays(entered=3, left=1, now=2, dwell_us=4_500_000, longest_us=4_500_000)}},
    {"door": {"person": (3, 1)}},
)
NOON = Moved(
    {"people": {"person": 1, "dog": 1}},
    {"people": {"person": 2}},
    {"dock": {"person": Stays(cut=2), "dog": Stays(entered=1, now=1)}},
    {"door": {"person": (0, 2), "dog": (1, 0)}},
)


def body(moved: Moved) -> Summary:
    latency = Latency(p50=None, p95=None, sk=Sketch(g=0.02, b=[]))
    model = ModelCounts(
        sha=None, inf=1, n={}, uniq=moved.unique.get("people", {}), cut=moved.cut.get("people", {}), lat=latency
    )
    made = Summary(
        d="s/n", epoch="0" * 32, st="summary/yard/h1", seq=1, of=1, rev=0, at="2026-11-24T03:00:05.000Z", tq=Quality(s="ntp", e=1), boot=1,
        w=("2026-11-24T03:00:00Z", 3600), cfg="sha256:0", cover=1.0, fr=Inputs(seen=1, gated=0, inf=1, drop=0, fail=0), models={"people": model},
        zone=zone_counts(moved.zones), line=line_counts(moved.lines), cost=Cost(j=None, tx=None, rx=None, alt=None),
    )  # fmt: skip
    return decode(encode(made), Summary)


def test_a_body_gives_back_what_it_was_made_of() -> None:
    for moved in (MORNING, NOON, Moved({}, {}, {}, {})):
        assert from_body(body(moved)) == moved


def test_sums_add_up_and_who_is_in_is_what_the_last_says() -> None:
    day = merged(iter([from_body(body(MORNING)), from_body(body(NOON))]))
    assert day.unique == {"people": {"person": 4, "dog": 1}}
    assert day.cut == {"people": {"person": 2}}
    assert day.lines == {"door": {"person": (3, 3), "dog": (1, 0)}}
    assert day.zones["dock"]["dog"] == Stays(entered=1, now=1)
    assert day.zones["dock"]["person"] == Stays(entered=3, left=1, cut=2, dwell_us=4_500_000, longest_us=4_500_000)
    assert merged(iter([MORNING, Moved({}, {}, {}, {})])).zones["dock"]["person"].now == 0
