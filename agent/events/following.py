"""A lane's objects: which detection is which, where each is, and all of it over a restart. Trackers and counting, as the loop uses them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from agent.events import counting, tracker
from agent.events.counting import Counting
from agent.events.settings import Line, Zone
from agent.events.settings import Tracker as Config
from agent.events.tracker import Numbers, Tracker
from agent.records import Crossing, Inference, Live

if TYPE_CHECKING:
    from agent.records import Detections


class _State(msgspec.Struct, frozen=True, kw_only=True):
    counting: counting.Saved
    trackers: dict[str, tracker.Saved]


class Following:
    """Of one lane. trackers: by model. models: those whose objects it follows. live: those of an earlier run of the lane; they go on from the first record."""

    def __init__(
        self,
        config: Config,
        models: Iterable[str],
        zones: Mapping[str, Zone] = {},
        lines: Mapping[str, Line] = {},
        live: Live | None = None,
    ) -> None:
        numbers = Numbers()
        self.trackers = {model: Tracker(config, numbers) for model in models}
        self.counting = Counting(zones, lines, config.lost_s)
        self._live = live
        self._kept = live is not None  # whether a state is written down

    def begin(self, at_us: int) -> list[Crossing]:
        """At every record, before it: at the first one those of the earlier run go on, or end."""
        live, self._live = self._live, None
        if live is None:
            return []
        try:
            state = msgspec.json.decode(live.state, type=_State)
            if live.same_boot:
                for model, saved in state.trackers.items():
                    if model in self.trackers and saved.at_us <= at_us:
                        self.trackers[model].resume(saved)
        except (msgspec.MsgspecError, ValueError, KeyError):
            return []  # of another version of the agent, or damaged: nothing is known of them
        return self.counting.resume(state.counting, at_us, same_boot=live.same_boot)

    def track(self, model: str, at_us: int, found: "Detections") -> "Detections":
        one = self.trackers.get(model)
        if one is None or found.boxes is None:
            return found
        return msgspec.structs.replace(found, tracks=one.take(at_us, found))

    def count(self, inference: Inference) -> list[Crossing]:
        one = self.trackers.get(inference.model)
        born = {new.number: new for new in one.born} if one is not None else {}
        return self.counting.take(inference, born)

    def tick(self, at_us: int) -> list[Crossing]:
        return list(self.counting.expire(at_us))

    def save(self) -> bytes | None:
        """For LaneSecond.live."""
        state = self.counting.state()
        if state is None:
            kept, self._kept = self._kept, False
            return b"" if kept else None
        self._kept = True
        trackers = {model: saved for model, one in self.trackers.items() if (saved := one.save()) is not None}
        return msgspec.json.encode(_State(counting=state, trackers=trackers))
