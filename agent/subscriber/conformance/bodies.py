"""Messages of a device that exists only here."""

from collections.abc import Sequence
from typing import Any

from agent.messages import batch, topics
from agent.messages.envelope import Quality, encode
from agent.messages.ledger import Ledger, Lost, Older, StreamLedger
from agent.messages.status import Status
from agent.messages.summary import Cost, Gap, Inputs, Latency, ModelCounts, Sketch, Summary
from agent.messages.times import text_ms, text_s

DEVICE, STREAM = "farm/gate", "summary/yard/m1"
E1, E2, E3, E4 = (f"{number:032x}" for number in (0xA1, 0xB2, 0xC3, 0xD4))
T0_US = 1_795_000_020_000_000  # a full minute
NOW_S = T0_US / 1e6 + 3_600
MINUTE_US = 60_000_000

Message = tuple[str, bytes]


def start(minute: int) -> str:
    """The UTC of a window."""
    return text_s(T0_US + minute * MINUTE_US)


def window(
    seq: int, minute: int | None, faces: int, *, epoch: str = E1, of: int | None = None, carry: tuple[str, int] | None = None, **more: Any
) -> bytes:  # fmt: skip
    """A summary with so many faces in ten times as many frames. minute: None: its time is unknown."""
    changed: dict[str, Any] = {} if carry is None else {"carry": carry}
    if minute is None:
        changed["mono"] = (0, MINUTE_US)
    return encode(
        Summary(
            **_head(seq, epoch, of), w=None if minute is None else (start(minute), 60), cfg="sha256:00", cover=1.0,
            fr=Inputs(seen=10 * faces, gated=0, inf=10 * faces, drop=0, fail=0),
            models={"m": ModelCounts(sha=None, inf=10 * faces, n={"face": faces}, uniq={}, lat=Latency(p50=None, p95=None, sk=Sketch(g=0.02, b=[])))},
            cost=Cost(j=None, tx=None, rx=None, alt=None), **changed, **more,
        )
    )  # fmt: skip


def gap(epoch: str = E1, since: int | None = None, until: int = 0) -> bytes:
    """The first item of an epoch."""
    return encode(Gap(**_head(1, epoch, None), gap=(None if since is None else start(since), start(until))))


def live(*items: bytes) -> list[Message]:
    return [(topics.live(DEVICE, STREAM), one) for one in items]


def back(*items: bytes, compress: bool = True) -> list[Message]:
    return [(topics.back(DEVICE, STREAM), batch.pack(list(items), compress=compress)[0])]


def entry(
    hi: int,
    todo: Sequence[tuple[int, ...]] = (),
    held: Sequence[tuple[int, ...]] = (),
    lost: Sequence[tuple[Any, ...]] = (),
) -> StreamLedger:
    return StreamLedger(hi=hi, todo=list(todo), held=list(held), lost=[Lost(*one) for one in lost])


def ledger(
    of: StreamLedger, *, epoch: str = E1, prev: str | None = None, why: str = "new", n: int = 1, minute: int = 30,
    older: Sequence[tuple[str, str | None, StreamLedger]] = (), part: bool = False, undated: dict[str, tuple[int, int]] | None = None,
) -> Message:  # fmt: skip
    """older: (epoch, its parent, its entry), newest first."""
    body = Ledger(
        d=DEVICE, epoch=epoch, prev=prev, why=why, boot=1, n=n, at=text_ms(T0_US + minute * MINUTE_US), streams={STREAM: of},
        older=[Older(d=DEVICE, epoch=one, prev=parent, why="new" if parent is None else "boot", n=9, streams={STREAM: said}) for one, parent, said in older],
        part=part, undated=undated or {},
    )  # fmt: skip
    return topics.ledger(DEVICE), encode(body)


def status(word: str, sess: int, epoch: str = E1) -> Message:
    body = Status(d=DEVICE, s=word, epoch=epoch, boot=1, sess=sess, at=text_ms(T0_US + 30 * MINUTE_US), cfg="sha256:00")  # type: ignore[arg-type]
    return topics.status(DEVICE), encode(body)


def _head(seq: int, epoch: str, of: int | None) -> dict[str, Any]:
    return {
        "d": DEVICE, "epoch": epoch, "st": STREAM, "seq": seq, "of": seq if of is None else of, "at": text_ms(T0_US + seq * MINUTE_US),
        "tq": Quality(s="ntp", e=1), "boot": 1,
    }  # fmt: skip
