"""`birth`, retained: who the device is and what runs on it. Published again when its digest changes."""

import hashlib
from typing import Literal

import msgspec

from agent.messages.envelope import VERSION, Count, Device, Epoch, Name, Number, Quality, Stream, Text, encode


class Hardware(msgspec.Struct, frozen=True, kw_only=True):
    model: str | None
    machine: str
    ram_mb: Count | None
    cores: Count | None


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """asked: delegates in the order of the config; got: the one that runs; why: why not an earlier one, or null."""

    sha: str | None
    decoder: str | None
    labels: list[str]
    licence: str | None
    asked: list[str]
    got: str | None
    why: str | None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """source: its kind only; an address may hold a secret."""

    source: str
    models: dict[Name, Model]


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """grain: seconds, or null for events. schema: name of the JSON Schema. units: reading → UCUM unit."""

    grain: Number | None
    schema: str
    units: dict[str, str]


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """prev, why: the epoch before this one and why a new one began. cmds: command → version of its arguments."""

    v: Literal[1] = VERSION
    d: Device
    epoch: Epoch
    prev: Epoch | None
    why: str
    boot: Number
    at: Text
    agent: str
    os: str | None
    hw: Hardware
    cfg: str
    tq: Quality
    lanes: dict[Name, Lane]
    streams: dict[Stream, StreamInfo]
    cmds: dict[str, int]


def digest(birth: Birth) -> str:
    """Of everything but the moment and the clock's quality: when it changes, birth is published again."""
    plain = msgspec.structs.replace(birth, at="1970-01-01T00:00:00Z", tq=Quality(s="none", e=0))
    return f"sha256:{hashlib.sha256(encode(plain)).hexdigest()}"
