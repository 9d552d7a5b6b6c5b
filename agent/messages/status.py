"""`status`, retained, and the last will, which is the same with `"s":"lost"`."""

from typing import Literal

import msgspec

from agent.messages.envelope import VERSION, Count, Device, Epoch, Number, Text, Undated

RANK = {"online": 0, "held": 1, "offline": 2, "lost": 3}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """sess: number of this connection, durable before CONNECT. Within an epoch the greatest (sess, RANK[s]) wins.

    at of the will is the time of the connect. cfg: digest of the config. held: nothing is sent for the reason `why` ("budget"), until then
    (null: not known); both are null otherwise.
    """

    v: Literal[1] = VERSION
    d: Device
    s: Literal["online", "held", "offline", "lost"]
    epoch: Epoch
    boot: Number
    sess: Count
    at: Text
    cfg: str
    undated: Undated = {}
    why: str | None = None
    until: Text | None = None
