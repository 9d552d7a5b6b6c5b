"""The tables `[mqtt]`, `[sync]`, `[budget]` and `[commands]`."""

import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.sync import wire
from agent.values import Bytes, RelativePath, Secret


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            pattern=r"^mqtts?://",
            description="mqtts://host:8883; plain mqtt:// to another host needs `allow_plaintext`.",
        ),
    ]
    protocol: Annotated[
        Literal["5", "3.1.1"],
        Meta(
            description='MQTT version. "3.1.1" for brokers that know no other: there nothing expires, and refusals have no reason. Nothing of what '
            "can be proven is lost by it."
        ),
    ] = "5"
    user: Annotated[str | None, Meta(description="User name at the broker.")] = None
    password_file: Annotated[RelativePath | None, Meta(description="File that holds the password, nothing else.")] = (
        None
    )
    password_env: Annotated[str | None, Meta(description="Environment variable that holds the password.")] = None
    password: Secret | None = None
    ca_file: Annotated[
        RelativePath | None, Meta(description="Certificates that are trusted; left out: the system's.")
    ] = None
    cert_file: Annotated[RelativePath | None, Meta(description="This device's certificate.")] = None
    key_file: Annotated[RelativePath | None, Meta(description="The key of `cert_file`.")] = None
    allow_plaintext: Annotated[
        bool, Meta(description="Lets mqtt:// reach another host than this one, unencrypted.")
    ] = False
    keepalive_s: Annotated[
        Annotated[int, Meta(ge=5, le=1200)] | None,
        Meta(
            description="Silence after which the link counts as dead is 1.5 times this. Left out: 30 s, and with a data budget as long as the budget "
            "asks for, 60 to 1,200 s: pings are a twentieth of it at most."
        ),
    ] = None
    window: Annotated[int, Meta(ge=1, le=100, description="Messages on their way at once.")] = 20
    inflight: Annotated[int, Meta(ge=1024, description="Bytes on their way at once.")] = 65_536
    reconnect_max_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="The longest wait between two attempts to connect; the first ones come quickly, each wait is drawn at random.",
        ),
    ] = 300.0


class Sync(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    results: Annotated[
        bool,
        Meta(
            description="Also sends every single result, as columns of up to 1,000 on `back/result/{lane}`. It costs data: `check` says how much."
        ),
    ] = False
    batch: Annotated[
        Literal["zlib", "plain"],
        Meta(description='How batches on `back/` travel; "plain" is for rule engines that cannot decompress.'),
    ] = "zlib"


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    month: Annotated[
        Bytes, Meta(description="What the link may carry in a month of UTC, both directions, as a SIM counts it.")
    ]
    interface: Annotated[
        str | None,
        Meta(description="The metered network interface, as wwan0; left out: the one that leads to the broker."),
    ] = None
    shared: Annotated[
        bool,
        Meta(description="Other programs use that interface too: the agent's own connection is counted, by estimate."),
    ] = False
    unmetered: Annotated[
        tuple[str, ...],
        Meta(
            description='When or where nothing is counted: hours of UTC as "01:00-05:00", or an interface as "wlan0".'
        ),
    ] = ()


class Allow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    caller: Annotated[str, Meta(min_length=1, max_length=128, description="As it names itself in the request.")]
    commands: Annotated[
        tuple[Literal["resend", "ping", "status", "birth", "ledger"], ...], Meta(description="What it may ask for.")
    ]


class Commands(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allow: Annotated[
        tuple[Allow, ...],
        Meta(description="Who may ask for what over MQTT. Left out: whoever the broker lets write to `cmd/`."),
    ] = ()


KEEPALIVE_S = 30
# With a data budget: seconds, and the share of it that pings may take.
_KEEPALIVE_S, _PING_SHARE, _MONTH_S = (60, 1_200), 0.05, 2_678_400


def keepalive_s(settings: Config, budget: Budget | None) -> int:
    """The keepalive in force."""
    if settings.keepalive_s is not None:
        return settings.keepalive_s
    if budget is None:
        return KEEPALIVE_S
    ping = wire.ping_bytes(tls=settings.url.startswith("mqtts://"))
    least, most = _KEEPALIVE_S
    return max(least, min(most, math.ceil(ping * _MONTH_S / (_PING_SHARE * int(budget.month)))))
