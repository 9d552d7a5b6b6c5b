"""The whole config file as types: its tables in the order in which they are written, each typed by its own room.

`source` and `gate` are typed by their `kind`: a `Kind`, whose `config` is the `Config` of agent/sources/KIND.py or agent/gating/KIND.py.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agent.events import privacy as privacy_settings
from agent.events import rules
from agent.events import settings as event_settings
from agent.events import snapshots as snapshot_settings
from agent.health import settings as health_settings
from agent.inference import model
from agent.sources import masking
from agent.store import settings as store_settings
from agent.sync import settings as sync_settings
from agent.values import NAME_PATTERN, RelativePath
from agent.windows import cut

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
# What an editor may accept: a name, or a text in which something is filled in.
_FILLED_IN_PATTERN = NAME_PATTERN[:-1] + r"$|@(serial|machine-id|hostname)|\$\{[A-Za-z_][A-Za-z0-9_]*\}"
GRAIN_PATTERN = r"^(m1|h1|d1|s[1-9][0-9]{0,4})$"
Grain = Annotated[str, Meta(pattern=GRAIN_PATTERN)]


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A table with a `kind`: its other keys are the `Config` of that file."""

    kind: str
    config: Any


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who this device is and where it keeps its data."""

    site: Annotated[
        Name,
        Meta(
            description="Where it stands. `@serial`, `@machine-id`, `@hostname`, `${VARIABLE}` are filled in.",
            extra_json_schema={"pattern": _FILLED_IN_PATTERN},
        ),
    ]
    name: Annotated[
        Name,
        Meta(
            description="Its name at the site; filled in likewise: one config serves a fleet.",
            extra_json_schema={"pattern": _FILLED_IN_PATTERN},
        ),
    ]
    data: Annotated[
        RelativePath,
        Meta(description="Folder of the store and what else the agent writes. Fetched models lie in the user's cache."),
    ]
    timezone: Annotated[
        str,
        Meta(
            min_length=1,
            description='Its time zone, as "Europe/Berlin", for rules that hold at some hours only. All else is in UTC.',
        ),
    ] = "UTC"
    runtime: Annotated[
        Literal["auto", "litert", "tflite-runtime"],
        Meta(description='What runs the models: "auto" takes LiteRT, and tflite-runtime where only that is installed.'),
    ] = "auto"
    models_at_once: Annotated[
        Annotated[int, Meta(ge=1, le=256)] | None,
        Meta(
            description="So many models run at the same time, the others wait their turn in order; left out: one a core."
        ),
    ] = None


class Lane(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One source and what is made of it."""

    summaries: Annotated[
        tuple[Grain, ...],
        Meta(
            min_length=1,
            description="Windows that are summed up and sent: m1 a minute, h1 an hour, d1 a day (made of its hours, so h1 comes with it), s10 ten seconds.",
        ),
    ] = ("m1", "h1")
    source: Annotated[Kind, Meta(description="Where its inputs come from.", extra={"room": "sources"})]
    window: Annotated[cut.Config | None, Meta(description="Sensor lanes only: how samples are cut into windows.")] = (
        None
    )
    gate: Annotated[
        Kind | None, Meta(description="Which inputs are worth a model's time; left out: all.", extra={"room": "gating"})
    ] = None
    model: Annotated[
        dict[Name, model.Config], Meta(min_length=1, description="The models that look at its inputs, in this order.")
    ]
    cores: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=1023)], ...],
        Meta(description="The processor cores that its models run on, counted from 0; left out: any."),
    ] = ()
    tracker: Annotated[
        event_settings.Tracker | None,
        Meta(
            description="Follows what the models find from input to input: each object gets a number; left out: none does."
        ),
    ] = None
    picture: Annotated[
        health_settings.Picture,
        Meta(
            description="What is told of the camera's picture itself: covered, frozen, moved. Lanes with a camera only."
        ),
    ] = health_settings.Picture()
    zone: Annotated[
        dict[Name, event_settings.Zone],
        Meta(
            description="Areas of the picture: who enters, leaves and stays in them is counted, and rules can name them."
        ),
    ] = {}
    line: Annotated[
        dict[Name, event_settings.Line],
        Meta(description="Lines in the picture: who crosses them is counted, each way, and rules can name them."),
    ] = {}
    mask: Annotated[
        dict[Name, masking.Mask],
        Meta(
            description="Areas that are black from where the picture comes in: no model sees them, nothing keeps them."
        ),
    ] = {}
    privacy: Annotated[
        privacy_settings.Config | None,
        Meta(description="What its pictures show of people, in place of the table [privacy]; left out: that one."),
    ] = None

    @property
    def follows(self) -> event_settings.Tracker | None:
        """How its objects are followed: zones and lines count objects, so they need it."""
        return self.tracker or (event_settings.Tracker() if self.zone or self.line else None)


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    version: Annotated[Literal[1], Meta(description="The form of this file; this version reads 1.")]
    device: Annotated[Device, Meta(description="Who this device is and where it keeps its data.")]
    lane: Annotated[dict[Name, Lane], Meta(min_length=1, description="What it watches: one table a lane.")]
    delegate: Annotated[
        dict[Name, model.Delegate], Meta(description="Hardware of this machine that models can name in `delegates`.")
    ] = {}
    rule: Annotated[dict[Name, rules.Config], Meta(description="When to raise an event: one table a rule.")] = {}
    store: Annotated[store_settings.Config, Meta(description="How results are kept.")] = store_settings.Config()
    mqtt: Annotated[
        sync_settings.Config | None, Meta(description="Where summaries and events are sent; left out: nowhere.")
    ] = None
    sync: Annotated[sync_settings.Sync, Meta(description="What is sent beside summaries and events, and how.")] = (
        sync_settings.Sync()
    )
    budget: Annotated[
        sync_settings.Budget | None, Meta(description="What the link may carry in a month; left out: no limit.")
    ] = None
    privacy: Annotated[privacy_settings.Config, Meta(description="What pictures show of people.")] = (
        privacy_settings.Config()
    )
    snapshots: Annotated[
        snapshot_settings.Config, Meta(description="The pictures that rules with `snapshot = true` keep on the device.")
    ] = snapshot_settings.Config()
    commands: Annotated[
        sync_settings.Commands | None,
        Meta(description="Who may ask for what; left out: whoever the broker lets write to `cmd/`."),
    ] = None
