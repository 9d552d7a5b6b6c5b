"""Topics under `edge/v1/{site}/{device}/`, built and read back. At most 7 slashes, as managed brokers allow."""

import re
from functools import cache

import msgspec

ROOT = "edge/v1"
NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_NAME = re.compile(NAME)
_DEVICE = re.compile(f"{NAME}/{NAME}")
_TOPIC = re.compile(
    f"{ROOT}/(?P<device>{NAME}/{NAME})/(?:(?P<word>status|birth|ledger)|(?P<branch>live|back|cmd|ans)/(?P<rest>{NAME}(?:/{NAME}){{0,2}}))"
)


class Topic(msgspec.Struct, frozen=True):
    """device: "site/name". branch: status, birth, ledger, live, back, cmd or ans. rest: a stream, a command, a caller; "" for the first three."""

    device: str
    branch: str
    rest: str


def device_of(site: str, name: str) -> str:
    """The device as site/name. ValueError when either is no name."""
    for word in (site, name):
        if not _NAME.fullmatch(word):
            raise ValueError(f"{word!r} is no name: lower case letters, digits, - and _, at most 63, no - or _ first")
    return f"{site}/{name}"


def is_name(word: str) -> bool:
    return _NAME.fullmatch(word) is not None


@cache
def root(device: str) -> str:
    if not _DEVICE.fullmatch(device):
        raise ValueError(f"{device!r} is no device: site/name, in lower case letters, digits, - and _")
    return f"{ROOT}/{device}"


def status(device: str) -> str:
    return f"{root(device)}/status"


def birth(device: str) -> str:
    return f"{root(device)}/birth"


def ledger(device: str) -> str:
    return f"{root(device)}/ledger"


def live(device: str, stream: str) -> str:
    return f"{root(device)}/live/{stream}"


def back(device: str, stream: str) -> str:
    return f"{root(device)}/back/{stream}"


def command(device: str, name: str) -> str:
    return f"{root(device)}/cmd/{name}"


def commands(device: str) -> str:
    """What a device subscribes to."""
    return f"{root(device)}/cmd/+"


def answer(device: str, caller: str) -> str:
    return f"{root(device)}/ans/{caller}"


def subscriptions(site: str | None = None, name: str | None = None, share: str | None = None) -> list[str]:
    """What a subscriber takes: of one device, of a site, or of all. share: the group of which each item goes to one member."""
    for word in (site, name, share):
        if word is not None and not _NAME.fullmatch(word):
            raise ValueError(f"{word!r} is no name: lower case letters, digits, - and _, at most 63, no - or _ first")
    base = f"{ROOT}/{site or '+'}/{name or '+'}"
    items = base if share is None else f"$share/{share}/{base}"
    return [*(f"{base}/{rest}" for rest in ("status", "birth", "ledger")), f"{items}/live/#", f"{items}/back/#"]


def parse(topic: str) -> Topic | None:
    """None for a topic that is not one of these."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return None
    return Topic(match["device"], match["word"] or match["branch"], match["rest"] or "")


def client_id(device: str) -> str:
    return device.replace("/", ".")
