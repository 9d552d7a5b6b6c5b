"""The `[mqtt]` table."""

from typing import Annotated

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
