"""The `[store]` table."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agent.values import Bytes, Duration


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_loss_s: Annotated[
        float,
        Meta(
            ge=0.2,
            le=60,
            description="The longest wait of a second of a lane for its commit, which 1,000 rows end sooner and an event at once. A power cut "
            "costs what was not committed: at most this and the running second, never an event. The price is flash wear, measured on ext4: "
            "an idle lane writes 0.45 GB a day at 1 s or less (a lane has one second each second, and all lanes share a commit), 0.28 GB at 5 s, "
            "0.05 GB at 60 s; one of 10 results a second 0.75, 0.61 and 0.15 GB.",
        ),
    ] = 5.0
    keep_free: Annotated[
        Bytes, Meta(description="Below this much free space results are counted, not stored, and status says so.")
    ] = Bytes(200_000_000)
    max_bytes: Annotated[
        Bytes | None,
        Meta(
            description="The database is kept below this size: what is already summed up and acknowledged goes first. Left out: only `keep_free` "
            "bounds it."
        ),
    ] = None
    max_age: Annotated[
        Duration | None,
        Meta(
            description="Results older than this are removed once they are summed up. Left out: they stay while there is room."
        ),
    ] = None
    keep_sent: Annotated[
        Duration, Meta(description="Acknowledged items stay this long, so that a subscriber can ask for them again.")
    ] = Duration(604_800)
