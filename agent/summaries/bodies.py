"""Bodies of summary and gap items: what was read of a window, as the contract's types."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec import UNSET

from agent.messages import summary
from agent.messages.envelope import Quality, encode
from agent.messages.times import text_ms, text_s
from agent.statistics import ACCURACY, Bins, quantile
from agent.store import trusted
from agent.store.transaction import Transaction
from agent.summaries.content import Content
from agent.summaries.crossings import line_counts, zone_counts
from agent.summaries.windows import SECOND_US, ClockRow, Run, row_in_force, utc_of_end

VIDEO_BITS_PER_S = 4_000_000


class LaneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What no row says about a lane. models: model → sha256 in hex. units: reading → unit. video_bits_per_s: of the video not sent, 0: none."""

    models: Mapping[str, str] = {}
    units: Mapping[str, str] = {}
    video_bits_per_s: int = 0


def make_summary(
    transaction: Transaction,
    stream: str,
    *,
    config_digest: str,
    facts: LaneFacts,
    grain_s: int,
    run: Run,
    clock: Sequence[ClockRow],
    content: Content,
    carry: tuple[str, int] | None,
) -> Callable[[int], bytes]:
    """The body of a run's summary as a function of its number. clock: of the run's boot. carry: its epoch, the last number given there."""
    readings = {
        name: summary.Reading(
            n=count, sum=total, sq=squares, min=least, max=greatest, unit=facts.units.get(name, "")
        )
        for name, (count, total, squares, least, greatest) in content.sensors.items()
    }  # fmt: skip

    zones, lines = zone_counts(content.zones), line_counts(content.lines)

    def body(number: int) -> bytes:
        return encode(
            summary.Summary(
                d=transaction.device,
                epoch=transaction.epoch_text,
                st=stream,
                seq=number,
                of=number,
                rev=0,
                at=now_text(transaction),
                tq=quality(clock if run.dated else (), run.last_at_us - 1),
                boot=run.boot,
                w=(text_s(run.start_us), grain_s) if run.dated else None,
                mono=UNSET if run.dated else (run.start_us, run.start_us + grain_s * SECOND_US),
                cfg=config_digest,
                cover=round(content.alive_us / (grain_s * SECOND_US), 6),
                fr=summary.Inputs(
                    seen=content.seen,
                    gated=content.gated,
                    inf=content.inferred,
                    drop=content.dropped,
                    fail=content.failed,
                ),
                models={name: _model(facts.models.get(name), name, content) for name in content.models},
                zone=zones or UNSET,
                line=lines or UNSET,
                sens=readings or UNSET,
                cost=summary.Cost(
                    j=None, tx=None, rx=None, alt=content.alive_us * facts.video_bits_per_s // (8 * SECOND_US)
                ),
                carry=UNSET if carry is None else carry,
            )
        )

    return body


def make_gap(
    transaction: Transaction, stream: str, *, clock: Sequence[ClockRow], from_us: int | None, to_us: int
) -> Callable[[int], bytes]:
    """The body of a gap item. from_us: UTC. to_us: boot time. clock: of the running boot."""
    to_text = text_ms(utc_of_end(clock, to_us)) if clock else None

    def body(number: int) -> bytes:
        return encode(
            summary.Gap(
                d=transaction.device,
                epoch=transaction.epoch_text,
                st=stream,
                seq=number,
                of=number,
                rev=0,
                at=now_text(transaction),
                tq=quality(clock, transaction.now_us),
                boot=transaction.boot,
                gap=(None if from_us is None else text_ms(from_us), to_text),
                mono=(None, to_us) if to_text is None else UNSET,
            )
        )

    return body


def now_text(transaction: Transaction) -> str:
    """UTC of the group's beginning. While it is unknown, the latest that it is known to be past: of an earlier boot, or boot time since 1970."""
    offset_us = transaction.utc_offset_us
    if offset_us is not None:
        return text_ms(transaction.now_us + offset_us)
    known_us = trusted.utc_us(transaction.connection, transaction.boot, transaction.now_us)
    return text_ms(transaction.now_us if known_us is None else known_us)


def quality(clock: Sequence[ClockRow], at_us: int) -> Quality:
    """Of a moment of a boot. clock: its rows; none: the time is not known."""
    if not clock:
        return Quality(s="none", e=0)
    row = row_in_force(clock, at_us)
    return Quality(s=row.source, e=row.error_ms)  # type: ignore[arg-type]  # the clock table has these words


def _model(digest: str | None, name: str, content: Content) -> summary.ModelCounts:
    return summary.ModelCounts(
        sha=None if digest is None else f"sha256:{digest}",
        inf=content.models[name],
        n=dict(sorted(content.labels.get(name, {}).items())),
        uniq=dict(sorted(content.unique.get(name, {}).items())),
        cut=dict(sorted(content.cut.get(name, {}).items())) or UNSET,
        lat=_latency(content.latencies.get(name, {})),
    )


def _latency(bins: Bins) -> summary.Latency:
    p50, p95 = quantile(bins, 0.5), quantile(bins, 0.95)
    return summary.Latency(
        p50=None if p50 is None else round(p50, 3),
        p95=None if p95 is None else round(p95, 3),
        sk=summary.Sketch(g=ACCURACY, b=sorted(bins.items())),
    )
