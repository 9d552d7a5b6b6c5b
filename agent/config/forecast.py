"""What a config will send in a month of 30 days, from the config alone: messages and bytes on the link, by stream, and what a data budget makes
of it. Bodies are made by the contract's own types with typical content, so the forecast follows them.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from agent.config.file import File, Lane
from agent.messages import birth, event, health, ledger, status, summary
from agent.messages.envelope import Quality, encode, grain_seconds, summary_stream
from agent.sync import kinds, states, wire
from agent.sync import settings as sync_settings

DAYS = 30
MONTH_S = DAYS * 86_400
# A connection lives about a day: carriers and brokers end it.
CONNECTS = DAYS
LEDGER_S = 900
_EPOCH, _SHA, _AT = "0" * 32, "sha256:" + "0" * 64, "2026-11-24T03:00:05.000Z"
# Labels of a model that are seen in a window, where no rule names any, and bins of its latencies.
_LABELS = 2
_BINS_MINUTE, _BINS_MORE = 9, 22
_AXES = ("x", "y", "z")
_PER_1000_RESULTS = 17_000


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is sent. name: a stream, or a word. messages, bytes: a month, of the link in both directions. plan: what a data budget makes
    of it (live or held; what is held goes late, in batches, as far as there is room), null without one and of what is no summary.
    """

    name: str
    grain_s: int | None
    messages: int
    bytes: int
    plan: str | None = None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """rows: streams first. bytes: of what goes out as it happens. event_bytes: of each event message (an event is two); thousand_results_bytes:
    null where single results are not sent.

    month, state: of the data budget, null without one. state "closed": the month does not even hold what never stops. keepalive_s: in force.
    """

    rows: list[Row]
    bytes: int
    event_bytes: int
    thousand_results_bytes: int | None
    keepalive_s: int
    month: int | None
    state: str | None


def needs(file: File) -> states.Needs:
    """For the data budget: bytes a day, with nothing held back."""
    minutes, hours, other = _sums(_rows(file, "full"))
    return states.Needs(minutes=minutes // DAYS, hours=hours // DAYS, other=other // DAYS)


def forecast(file: File) -> Forecast | None:
    """None where nothing is sent."""
    if file.mqtt is None:
        return None
    state: states.State = "full"
    if file.budget is not None:
        state = states.ceiling(needs(file), int(file.budget.month), DAYS)
    rows = _rows(file, state)
    if file.budget is not None:
        rows = [msgspec.structs.replace(row, plan=_plan(row, state)) for row in rows]
        state = _that_fits(rows, state, int(file.budget.month))
    return Forecast(
        rows=rows,
        bytes=sum(row.bytes for row in rows if row.plan != "held"),
        event_bytes=event_bytes(file),
        thousand_results_bytes=_PER_1000_RESULTS if file.sync.results else None,
        keepalive_s=sync_settings.keepalive_s(file.mqtt, file.budget),
        month=None if file.budget is None else int(file.budget.month),
        state=None if file.budget is None else state,
    )


def _sums(rows: list[Row]) -> tuple[int, int, int]:
    """Bytes of windows shorter than an hour, of longer ones, of the rest."""
    minutes = sum(row.bytes for row in rows if row.grain_s is not None and row.grain_s < kinds.HOUR_S)
    hours = sum(row.bytes for row in rows if row.grain_s is not None and row.grain_s >= kinds.HOUR_S)
    return minutes, hours, sum(row.bytes for row in rows) - minutes - hours


def _that_fits(rows: list[Row], state: states.State, month_bytes: int) -> states.State:
    """What remains of a state on the way to the month's end: hours that do not fit make it critical."""
    _, hours, other = _sums(rows)
    if other > month_bytes * states.PLANNED_RATIO:
        return "closed"
    return "critical" if state == "coarse" and hours + other > month_bytes * states.PLANNED_RATIO else state


def event_bytes(file: File) -> int:
    """One event message on the link."""
    lane = max(file.lane, key=len)
    media = event.Media(ref=f"snapshots/{lane}-100-{10**12}.jpg", digest=f"sha256:{'0' * 64}", bytes=48_122)
    body = event.Event(
        **_head(file, f"event/{lane}"), t=(_AT, _AT), rule=max(file.rule, key=len, default="rule"), sev="warn", phase="start",
        track=None, model="model", label="person", score=0.91, box=(0.4131, 0.2212, 0.5501, 0.8012), zone=None,
        media=media if any(rule.snapshot for rule in file.rule.values()) else None,
    )  # fmt: skip
    return _message(file, f"live/event/{lane}", encode(body))


def _plan(row: Row, state: states.State) -> str | None:
    if row.grain_s is None:
        return None
    if row.grain_s >= kinds.HOUR_S or state in ("full", "lean"):
        return "live"
    return "held"


def _rows(file: File, state: states.State) -> list[Row]:
    """All that is sent, with health and ledgers as often as in that state of the data budget."""
    if file.mqtt is None:
        return []
    rows = []
    for name, lane in file.lane.items():
        for grain in lane.summaries:
            seconds = grain_seconds(grain)
            stream = summary_stream(name, seconds)
            count = MONTH_S // seconds
            rows.append(
                Row(
                    name=stream, grain_s=seconds, messages=count,
                    bytes=count * _message(file, f"live/{stream}", encode(_summary(file, name, lane, seconds))),
                )
            )  # fmt: skip
    ledgers = MONTH_S // round(
        max(LEDGER_S, states.LEDGER_S[state], min((row.grain_s or 0 for row in rows), default=0))
    )
    told = _message(file, "ledger", encode(_ledger(file)))
    rows.append(Row(name="ledger", grain_s=None, messages=ledgers, bytes=ledgers * told))
    health_s = round(states.HEALTH_S[state] or DAYS * 86_400)
    count = MONTH_S // health_s
    rows.append(
        Row(
            name="health",
            grain_s=None,
            messages=count,
            bytes=count * _message(file, "live/health", encode(_health(file))),
        )
    )
    tls = file.mqtt.url.startswith("mqtts://")
    begin = (
        wire.connect_bytes(tls=tls)
        + _message(file, "status", encode(_status(file)))
        + _message(file, "birth", encode(_birth(file)))
        + told
    )
    rows.append(Row(name="connecting", grain_s=None, messages=CONNECTS * 3, bytes=CONNECTS * begin))
    keepalive_s = sync_settings.keepalive_s(file.mqtt, file.budget)
    live = [row.grain_s for row in rows if row.grain_s is not None and _plan(row, state) == "live"]
    gap_s = min([*live, health_s])
    # The link is pinged after so long without a message, in each gap between two.
    pings = MONTH_S // gap_s * max(0, (gap_s - 1) // keepalive_s)
    rows.append(Row(name="pings", grain_s=None, messages=pings, bytes=pings * wire.ping_bytes(tls=tls)))
    return rows


def _message(file: File, rest: str, body: bytes) -> int:
    assert file.mqtt is not None
    topic = f"edge/v1/{file.device.site}/{file.device.name}/{rest}"
    return wire.message_bytes(len(body), len(topic), tls=file.mqtt.url.startswith("mqtts://"))


def _head(file: File, stream: str) -> dict[str, Any]:
    return {
        "d": f"{file.device.site}/{file.device.name}", "epoch": _EPOCH, "st": stream, "seq": 12_345, "of": 12_345, "at": _AT,
        "tq": Quality(s="ntp", e=35), "boot": 17,
    }  # fmt: skip


def _labels(file: File, name: str, model: str) -> list[str]:
    """Those that rules of the lane name, else as many as a model usually sees."""
    named = [
        rule.label for rule in file.rule.values() if rule.lane == name and rule.model in (None, model) and rule.label
    ]
    return list(dict.fromkeys(named)) or ["person", "vehicle"][:_LABELS]


def _summary(file: File, name: str, lane: Lane, grain_s: int) -> summary.Summary:
    more = grain_s > 60
    seen = list(dict.fromkeys(label for model in lane.model for label in _labels(file, name, model)))
    bins = _BINS_MORE if more else _BINS_MINUTE
    scale = max(1, grain_s // 60)
    sensors = {axis: summary.Reading(n=60_000 * scale, sum=-12345.678901234, sq=12345.678901234, min=-1.234567, max=1.234567, unit="m/s2")
               for axis in _AXES} if lane.window is not None else {}  # fmt: skip
    return summary.Summary(
        **_head(file, summary_stream(name, grain_s)),
        w=("2026-11-24T03:00:00Z", grain_s), cfg=_SHA, cover=1.0,
        fr=summary.Inputs(seen=1_500 * scale, gated=1_203 * scale, inf=295 * scale, drop=2, fail=0),
        models={
            model: summary.ModelCounts(
                sha=_SHA, inf=295 * scale, n=dict.fromkeys(_labels(file, name, model), 12 * scale),
                uniq={} if lane.follows is None else dict.fromkeys(_labels(file, name, model), 5 * scale),
                lat=summary.Latency(p50=14.637, p95=21.243, sk=summary.Sketch(g=0.02, b=[(118 + one, 3 * scale) for one in range(bins)])),
            )
            for model in lane.model
        },
        zone=dict.fromkeys(lane.zone, dict.fromkeys(seen, _stays(scale))) or UNSET,
        line=dict.fromkeys(lane.line, dict.fromkeys(seen, summary.LineCounts(in_=4 * scale, out=3 * scale))) or UNSET,
        sens=sensors or UNSET,
        cost=summary.Cost(j=None, tx=None, rx=None, alt=None if lane.window is not None else 30_000_000 * scale),
    )  # fmt: skip


def _stays(scale: int) -> summary.ZoneCounts:
    return summary.ZoneCounts(
        in_=3 * scale, out=2 * scale, now=1, dwell=summary.Dwell(n=5, sum=71.234 * scale, max=31.012)
    )


def _streams(file: File) -> list[str]:
    found = [f"summary/{name}/{grain}" for name, lane in file.lane.items() for grain in lane.summaries]
    found += [f"event/{lane}" for lane in dict.fromkeys(rule.lane for rule in file.rule.values())]
    found += [f"result/{name}" for name in file.lane] if file.sync.results else []
    return [*found, health.STREAM]


def _ledger(file: File) -> ledger.Ledger:
    entry = ledger.StreamLedger(hi=12_345)
    return ledger.Ledger(
        d=f"{file.device.site}/{file.device.name}", epoch=_EPOCH, prev=_EPOCH, why="boot", boot=17, n=1_234, at=_AT,
        streams=dict.fromkeys(_streams(file), entry), older=[],
    )  # fmt: skip


def _health(file: File) -> health.Health:
    return health.Health(
        **_head(file, health.STREAM),
        machine=health.Machine(temp=48.3, throttled=0, memory=5_000_000_000, disk=20_000_000_000), store=123_456_789,
        queues={"health": 1}, held={}, removed={}, faults=0,
        lanes={name: health.LaneHealth(state="running", age=0.2, restarts=0) for name in file.lane},
        budget=None if file.budget is None else health.Budget(
            state="full", month=int(file.budget.month), used=int(file.budget.month) // 2, left=int(file.budget.month) // 2,
            how="measured", moves=[],
        ),
    )  # fmt: skip


def _status(file: File) -> status.Status:
    return status.Status(
        d=f"{file.device.site}/{file.device.name}", s="online", epoch=_EPOCH, boot=17, sess=412, at=_AT, cfg=_SHA
    )


def _birth(file: File) -> birth.Birth:
    model = birth.Model(
        sha=_SHA, decoder="detection", labels=["label"] * 10, licence="Apache-2.0", asked=["auto"], got="xnnpack", why=None
    )  # fmt: skip
    return birth.Birth(
        d=f"{file.device.site}/{file.device.name}", epoch=_EPOCH, prev=_EPOCH, why="boot", boot=17, at=_AT, agent="0.1.0",
        os="Debian GNU/Linux 12 (bookworm)", hw=birth.Hardware(model="Raspberry Pi 5 Model B Rev 1.0", machine="aarch64", ram_mb=8192, cores=4),
        cfg=_SHA, tq=Quality(s="ntp", e=35),
        lanes={name: birth.Lane(source=lane.source.kind, models=dict.fromkeys(lane.model, model)) for name, lane in file.lane.items()},
        streams={name: birth.StreamInfo(grain=60, schema="summary", units={}) for name in _streams(file)},
        cmds={"resend": 1, "ping": 1, "status": 1, "birth": 1, "ledger": 1},
    )  # fmt: skip
