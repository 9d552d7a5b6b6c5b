"""What one key says about another: checks of a typed file as a whole, on the file alone (agent/config/machine.py looks at the machine).

A value that was wrong by itself is UNSET here and is left alone: one mistake, one problem.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from msgspec import UNSET

from agent.config import kinds, pictures
from agent.config.file import Device, File, Kind, Lane
from agent.config.redact import without_password
from agent.config.walk import Key, Walk, did_you_mean, shown
from agent.events import rules
from agent.health.settings import RULE_PREFIX, Picture
from agent.hours import Hours
from agent.inference import model
from agent.sources import camera, rtsp
from agent.sync import settings as sync_settings
from agent.sync.address import is_loopback

_SHORT_GRAINS = {"s60": "m1", "s3600": "h1", "s86400": "d1"}


def check(file: File, walk: Walk) -> None:
    """Notes in `walk` what does not fit together."""
    if isinstance(file.device, Device) and isinstance(file.device.timezone, str):
        _timezone(file.device.timezone, ("device", "timezone"), walk)
    lanes = file.lane if isinstance(file.lane, dict) else {}
    for name, lane in lanes.items():
        if isinstance(lane, Lane):
            _lane(lane, ("lane", name), walk)
            _models(lane, file, ("lane", name), walk)
    for name in file.delegate if isinstance(file.delegate, dict) else ():
        if name in ("gpu", "xnnpack", "cpu"):
            walk.note(("delegate", name), "is a word of the agent's own", "Give the library another name.")
    for name, rule in file.rule.items() if isinstance(file.rule, dict) else ():
        if name.startswith(RULE_PREFIX):
            walk.note(
                ("rule", name),
                f"begins with {RULE_PREFIX}, as the names of the agent's own rules do",
                "Give it another name.",
            )
        if isinstance(rule, rules.Config):
            _rule(rule, lanes, ("rule", name), walk)
            for index, also in enumerate(rule.with_ if isinstance(rule.with_, tuple) else ()):
                if isinstance(also, rules.Also):
                    _rule(also, lanes, ("rule", name, "with", index), walk)
            if rule.with_ and rule.snapshot is True:
                walk.note(
                    ("rule", name, "snapshot"),
                    "a rule over several lanes has no picture of its own",
                    "Take it out; a rule over one of its lanes may keep one.",
                )
    pictures.check(file, lanes, walk)
    if isinstance(file.mqtt, sync_settings.Config):
        _mqtt(file.mqtt, ("mqtt",), walk)


def _timezone(name: str, key: Key, walk: Walk) -> None:
    try:
        Hours(name)
    except (KeyError, ValueError, OSError):
        walk.note(
            key,
            f"there is no time zone {shown(name)} on this machine",
            'Write one of `timedatectl list-timezones`, as "Europe/Berlin", or "UTC"; Debian\'s package tzdata brings them.',
        )


def _lane(lane: Lane, key: Key, walk: Walk) -> None:
    _summaries(lane, (*key, "summaries"), walk)
    if isinstance(lane.source, Kind):
        _window(lane, key, walk)
        if isinstance(lane.source.config, rtsp.Config):
            _rtsp(lane.source.config, lane, (*key, "source"), walk)
        if isinstance(lane.source.config, camera.Config):
            _camera(lane.source.config, (*key, "source"), walk)


def _models(lane: Lane, file: File, key: Key, walk: Walk) -> None:
    earlier: list[str] = []
    libraries = file.delegate if isinstance(file.delegate, dict) else {}
    for name, one in lane.model.items() if isinstance(lane.model, dict) else ():
        if isinstance(one, model.Config):
            _model(one, (*key, "model", name), walk)
            _delegates(one, libraries, (*key, "model", name, "delegates"), walk)
            _stage(one, lane, earlier, (*key, "model", name), walk)
        earlier.append(name)


def _delegates(one: model.Config, libraries: Mapping[str, Any], key: Key, walk: Walk) -> None:
    known = [*model.DELEGATES, *libraries]
    for index, name in enumerate(one.delegates if isinstance(one.delegates, tuple) else ()):
        if isinstance(name, str) and name not in known:
            walk.note((*key, index), f"there is no delegate {shown(name)}", did_you_mean(name, known, "Delegates"))


def _stage(one: model.Config, lane: Lane, earlier: list[str], key: Key, walk: Walk) -> None:
    """A model on another's detections, or on what moves."""
    for name in ("regions", "whole_s") if one.on != "motion" else ():
        if getattr(one, name) is not None:
            walk.note((*key, name), 'has no use without on = "motion"', "Take it out.")
    if one.on == "motion":
        _regions(lane, earlier, key, walk)
    elif not isinstance(one.on, str) or one.on == "input":
        if one.margin:
            walk.note((*key, "margin"), "has no use where the model looks at the whole input", "Take it out.")
    elif one.on not in earlier:
        what = "stands later" if one.on in lane.model else "is no model of this lane"
        remedy = (
            "Put it before this one." if one.on in lane.model else did_you_mean(one.on, ["input", *earlier], "Take")
        )
        walk.note((*key, "on"), f"{shown(one.on)} {what}", remedy)
    elif lane.window is not None:
        walk.note((*key, "on"), "a window of samples has no crops", 'Take it out, or write "input".')


def _regions(lane: Lane, earlier: list[str], key: Key, walk: Walk) -> None:
    if "motion" in earlier:
        walk.note(
            (*key, "on"),
            '"motion" is a word of the agent\'s own, and a model of this lane',
            "Name the model otherwise.",
        )
    elif lane.window is not None:
        walk.note((*key, "on"), "nothing moves in a window of samples", 'Take it out, or write "input".')
    elif lane.gate is None:
        walk.note((*key, "on"), "the lane has no gate that says what moves", 'Give it a gate of kind "motion".')


def _summaries(lane: Lane, key: Key, walk: Walk) -> None:
    grains = lane.summaries if isinstance(lane.summaries, tuple) else ()
    for index, grain in enumerate(grains):
        if grain in grains[:index]:
            walk.note((*key, index), f"{shown(grain)} stands there twice", "Take one out.")
        elif grain in _SHORT_GRAINS:
            walk.note((*key, index), f"{shown(grain)} has a name of its own", f'Write "{_SHORT_GRAINS[grain]}".')


def _rtsp(source: rtsp.Config, lane: Lane, key: Key, walk: Walk) -> None:
    if source.idle_decode == "keyframes" and lane.gate is None:
        walk.note((*key, "idle_decode"), "has no use without a gate", "Add one, or take the key out.")
    if isinstance(source.ca_file, str) and isinstance(source.url, str) and source.url.startswith("rtsp:"):
        walk.note((*key, "ca_file"), "has no use: rtsp:// is not encrypted", "Write rtsps://, or take the key out.")


def _camera(source: Any, key: Key, walk: Walk) -> None:
    """Keys that say nothing about this kind of address: whoever wrote them expects something of them."""
    if not isinstance(source.url, str):
        return
    every_s = source.every_s if isinstance(source.every_s, float) else None
    form = camera.form(source.url, every_s)
    login, size, play = ("user", "password_file", "password_env"), ("width", "height", "rate_hz"), ("loop", "pace")
    useless = {
        "stream": (*play, *size, "every_s"),
        "snapshot": (*play, *size),
        "device": (*play, *login, "every_s"),
        "pipeline": (
            *play,
            "every_s",
            *(login if source.url.startswith("jetson-csi:") else ()),
            *(() if source.url.startswith("jetson-csi:") else size),
        ),
        "file": (*login, *size, "every_s"),
    }[form]
    if form == "snapshot" and every_s is not None and isinstance(source.stall_s, float) and every_s >= source.stall_s:
        walk.note(
            (*key, "every_s"),
            f"is no less than stall_s ({source.stall_s:g}): the lane would be blind between two pictures",
            "Set stall_s to twice as much, or more.",
        )
    for name in useless:
        if getattr(source, name) not in (None, False, "live", UNSET):
            walk.note((*key, name), f"has no use: {shown(source.url)} is a {form}", "Take it out.")


def _window(lane: Lane, key: Key, walk: Walk) -> None:
    window: Any = lane.window
    kind = lane.source.kind
    if kinds.is_sensor(kind) and window is None:
        walk.note(
            (*key, "window"),
            "is missing",
            f"A {kind} gives samples: say length_s and hop_s in [{'.'.join(map(str, key))}.window].",
        )
    elif not kinds.is_sensor(kind) and window is not None:
        walk.note((*key, "window"), f"{kind} gives pictures, not samples", "Take the table out.")
    if kinds.is_sensor(kind) and lane.picture != Picture():
        walk.note((*key, "picture"), "has no use: this lane has no pictures", "Take the table out.")
    length_s, hop_s = getattr(window, "length_s", None), getattr(window, "hop_s", None)
    if isinstance(length_s, float) and isinstance(hop_s, float) and hop_s > length_s:
        walk.note(
            (*key, "window", "hop_s"),
            f"{hop_s:g} is more than length_s ({length_s:g}): samples would be skipped",
            "Make it at most length_s.",
        )


def _model(one: model.Config, key: Key, walk: Walk) -> None:
    if one.path is None and one.catalogue is None:
        walk.note(
            (*key, "path"), "is missing", "Name the .tflite file by path, or a model of the catalogue by catalogue."
        )
    elif one.path is not None and one.catalogue is not None:
        walk.note((*key, "catalogue"), "stands beside path", "Keep one of the two.")
    known = kinds.kinds("decoding")
    if isinstance(one.decoder, str) and one.decoder not in known:
        walk.note(
            (*key, "decoder"), f"{shown(one.decoder)} is no decoder", did_you_mean(one.decoder, known, "Decoders")
        )


def _rule(rule: rules.Config | rules.Also, lanes: dict[str, Any], key: Key, walk: Walk) -> None:
    if rule.lane in lanes:
        for name, value in (("model", rule.model), ("zone", rule.zone), ("line", getattr(rule, "line", None))):
            known = getattr(lanes[rule.lane], name, None)
            if isinstance(value, str) and isinstance(known, dict) and value not in known:
                walk.note(
                    (*key, name),
                    f"the lane {rule.lane} has no {name} {shown(value)}",
                    did_you_mean(value, known, f"Its {name}s"),
                )
    elif isinstance(rule.lane, str):
        walk.note((*key, "lane"), f"there is no lane {shown(rule.lane)}", did_you_mean(rule.lane, lanes, "Lanes"))


def _mqtt(settings: sync_settings.Config, key: Key, walk: Walk) -> None:
    if isinstance(settings.url, str):
        _broker(settings, (*key, "url"), walk)
    if settings.cert_file is not None and settings.key_file is None:
        walk.note((*key, "key_file"), "is missing beside cert_file", "Name the file of the certificate's key.")
    if settings.key_file is not None and settings.cert_file is None:
        walk.note((*key, "cert_file"), "is missing beside key_file", "Name the file of the key's certificate.")


def _broker(settings: sync_settings.Config, key: Key, walk: Walk) -> None:
    url = broker_address(settings.url)
    if without_password(settings.url) != settings.url or (url is not None and url.username is not None):
        walk.note(
            key,
            "holds a user or a password",
            "Take it out of the address: user and password_file are keys of this table.",
        )
    elif url is None:
        walk.note(key, f"{shown(settings.url)} is not an address", "Write mqtts://host:8883.")
    elif url.path not in ("", "/") or url.query or url.fragment:
        walk.note(key, "has more than a host and a port", "Write mqtts://host:8883.")
    elif url.scheme == "mqtt" and not settings.allow_plaintext and not is_loopback(url.hostname or ""):
        walk.note(key, f"would talk to {url.hostname} unencrypted", "Write mqtts://, or set allow_plaintext = true.")
    elif url.scheme == "mqtt" and any((settings.ca_file, settings.cert_file, settings.key_file)):
        walk.note(key, "is unencrypted, so that the certificate files have no use", "Write mqtts://, or take them out.")


def broker_address(url: str) -> SplitResult | None:
    """The address in its parts; None when it has no host, or no number of a port."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and (parts.port is None or parts.port > 0) else None
    except ValueError:
        return None
