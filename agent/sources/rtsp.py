"""A network camera over RTSP (RFC 2326) through PyAV, that is FFmpeg. Frames: uint8 I420 planes (height * 3 / 2, width).

Beside what `camera` reads it sees damaged pictures and does not hand them out, dates frames by the stream's own time stamps, keeps its FFmpeg options
to itself, and decodes keyframes alone while nothing moves. Needs the extra `rtsp`; without it frames come through OpenCV, as of kind `camera`.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from agent.clock import Clock
from agent.log import fact
from agent.problems import Problem
from agent.sources import Source, camera
from agent.sources._address import shown, with_credentials
from agent.sources._reachable import check_host, no_video, refusal
from agent.sources._rtsp_stream import RtspStream, check_size
from agent.values import RelativePath, Secret

_OPEN_S = 4.0
_PLENTY_PIXELS = 1280 * 720
# Video alone, and no time spent on guessing a rate: a camera opens in 0.2 s instead of 1.2. What is probed is not thrown away, so that the first
# keyframe is seen. Nothing is waited for in order to put packets in order over TCP.
_OPTIONS = {"allowed_media_types": "video", "analyzeduration": "100000", "fpsprobesize": "0"}
# FFmpeg may follow what a camera answers to these protocols, and to no other: never to a file of this device.
_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls"

Option = Literal[
    "analyzeduration", "buffer_size", "fflags", "fpsprobesize", "max_delay", "max_port", "min_port", "pkt_size", "probesize",
    "reorder_queue_size", "skip_loop_filter", "user_agent",
]  # fmt: skip
_OF_THE_DECODER = ("skip_loop_filter",)

_log = logging.getLogger(__name__)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[str, Meta(min_length=1, pattern="^rtsps?://", description="rtsp://host:554/path, or rtsps://.")]
    user: Annotated[str | None, Meta(description="User name, for a camera that asks.")] = None
    password_file: Annotated[RelativePath | None, Meta(description="File that holds the password, nothing else.")] = (
        None
    )
    password_env: Annotated[str | None, Meta(description="Environment variable that holds the password.")] = None
    password: Secret | None = None
    transport: Annotated[
        Literal["tcp", "udp"], Meta(description='How the pictures travel. "udp" loses some where the network is busy.')
    ] = "tcp"
    ca_file: Annotated[
        RelativePath | None,
        Meta(
            description="Of rtsps://: the authority (PEM) that the camera's certificate must be of. Without it the connection is encrypted, but nobody checks who answers."
        ),
    ] = None
    options: Annotated[
        dict[Option, str],
        Meta(description=f"FFmpeg's own options for this camera, by their names there: {', '.join(get_args(Option))}."),
    ] = {}
    idle_decode: Annotated[
        Literal["keyframes", "all"],
        Meta(
            description='While the gate sees nothing move and no track lives: "keyframes" decodes these alone, a tenth of the work; what begins to move is seen at the next one (1 to 2 s with most cameras).'
        ),
    ] = "all"
    max_pixels: Annotated[
        int, Meta(ge=256, le=268_435_456, description="A stream with larger pictures is refused (width times height).")
    ] = 4096 * 2304
    stall_s: Annotated[
        float,
        Meta(gt=0, le=600, description="No packet for this long: the lane is blind, the stream is opened anew."),
    ] = 4.0


def every_record(config: Config) -> bool:
    """False: the newest frame wins."""
    del config
    return False


@contextmanager
def open_source(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """Problem: no such host; refused; nothing there that can be read as video; pictures that are too large."""
    with open_with(_pyav(), config, clock, stop, where) as source:
        yield source


@contextmanager
def open_with(av: Any, config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    """av: the module of PyAV, None where it is not installed."""
    if av is None:
        with _through_opencv(config, clock, stop, where) as source:
            yield source
        return
    container = _open(av, config, where)
    try:
        stream = RtspStream(
            container,
            shown(config.url),
            stall_s=config.stall_s,
            most_pixels=config.max_pixels,
            keyframes_when_quiet=config.idle_decode == "keyframes",
            errors=_errors(av),
            clock=clock,
            where=f"{where}.url",
        )
    except BaseException:
        container.close()
        raise
    try:
        yield stream
    finally:
        stream.close()


def _pyav() -> Any:
    try:
        import av
    except ImportError:
        return None
    av.logging.set_level(None)  # its lines hold addresses
    return av


def _errors(av: Any) -> tuple[type[Exception], ...]:
    return (av.FFmpegError, OSError, ValueError)


def _open(av: Any, config: Config, where: str) -> Any:
    """An open container with a video stream whose decoder is set."""
    name, place = shown(config.url), f"{where}.url"
    check_host(config.url, place)
    options = {**_OPTIONS, "rtsp_transport": config.transport, "protocol_whitelist": _PROTOCOLS}
    options |= {} if config.ca_file is None else {"tls_verify": "1", "ca_file": str(config.ca_file)}
    options |= {key: value for key, value in config.options.items() if key not in _OF_THE_DECODER}
    try:
        container = av.open(
            with_credentials(config.url, config.user, config.password),
            format="rtsp",
            options=options,
            timeout=(max(_OPEN_S, config.stall_s), config.stall_s),
        )
    except _errors(av) as error:
        # `from None`: the address stands in what FFmpeg says.
        raise _refused(av, error, config, place) from None
    try:
        if not container.streams.video:
            raise Problem(
                where=place,
                what=f"{name} gives no video",
                remedy="Look up in the camera's manual which path has pictures",
            )
        decoder = container.streams.video[0].codec_context
        check_size(name, decoder.width, decoder.height, config.max_pixels, place)
        decoder.thread_count = 1  # each thread more would hold one frame back
        decoder.flags |= av.codec.context.Flags.low_delay
        decoder.options = {key: value for key, value in config.options.items() if key in _OF_THE_DECODER}
        _advise(name, decoder.width, decoder.height, where)
    except BaseException:
        container.close()
        raise
    return container


def _refused(av: Any, error: Exception, config: Config, where: str) -> Problem:
    """Why it does not open: what the camera answered, else what it answers to us."""
    answers = {
        av.error.HTTPUnauthorizedError: 401,
        av.error.HTTPForbiddenError: 403,
        av.error.HTTPNotFoundError: 404,
    }
    name, status = shown(config.url), answers.get(type(error))
    if status is not None:
        return refusal(status, name, with_user=config.user is not None, where=where)
    if config.url.startswith("rtsps://") and isinstance(error, OSError):
        return Problem(
            where=where,
            what=f"{name}: no encrypted connection comes about",
            remedy="Is it the port for rtsps (322)? ca_file must hold the authority of the camera's certificate, and the address a name that stands in it",
        )
    return no_video(config.url, user=config.user, password=config.password, where=where)


def _advise(name: str, width: int, height: int, where: str) -> None:
    if width * height > _PLENTY_PIXELS:
        what = (
            "the stream is larger than a model looks at: the camera's second stream costs a fraction (docs/cameras.md)"
        )
        _say_once(what, where, camera=name, size=f"{width}x{height}")


@contextmanager
def _through_opencv(config: Config, clock: Clock, stop: threading.Event, where: str) -> Iterator[Source]:
    if config.ca_file is not None:
        raise Problem(
            where=f"{where}.ca_file",
            what="only PyAV checks a camera's certificate, and it is not installed",
            remedy="Install it: pip install 'edge-agent[rtsp]'",
        )
    unheeded = [key for key, value in (("transport", config.transport == "udp"), ("options", config.options),
                                       ("idle_decode", config.idle_decode != "all")) if value]  # fmt: skip
    what = "PyAV is not installed: the camera is read through OpenCV, which does not tell damaged pictures"
    _say_once(what, where, unheeded=",".join(unheeded) or "nothing", remedy="pip install 'edge-agent[rtsp]'")
    same = camera.Config(url=config.url, user=config.user, password=config.password, stall_s=config.stall_s)
    with camera.open_source(same, clock, stop, where) as source:
        yield source


_said: set[tuple[str, str]] = set()


def _say_once(what: str, where: str, **values: str) -> None:
    """A camera may be opened a thousand times."""
    if (what, where) not in _said:
        _said.add((what, where))
        _log.warning(fact(what, source=where, **values))
