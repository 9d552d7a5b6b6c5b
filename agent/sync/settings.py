"""The tables `[mqtt]`, `[sync]` and `[commands]`."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.values import RelativePath, Secret


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
        int, Meta(ge=5, le=1200, description="Silence after which the link counts as dead is 1.5 times this.")
    ] = 30
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
