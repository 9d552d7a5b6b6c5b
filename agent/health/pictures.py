"""Whether a camera's picture can be believed: black, white, covered, frozen, out of focus, moved, or in night vision.

Measured once a second on small copies, a pure function of the frames; each state begins and ends with hysteresis, and is an event then. What is usual
(sharpness, where the edges are) is learnt from the camera's own pictures, so that nothing has to be set. How, and its limits: docs/gate.md.
"""

from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from agent.health._measures import Measures, measure, sharpness
from agent.health.settings import RULE_PREFIX, STATES, Picture, State
from agent.records import Event, Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EVERY_US = 900_000
_MOVED_TIMES = 3.0
# Usual sharpness: the median of so many values, one a minute; of less than so many it is not known.
_MINUTES, _LEAST_VALUES, _MINUTE_US = 1440, 20, 60_000_000
# Of the detail that usually stays so much must be missing from all.
_LESS = 0.5
# Less contrast than this says nothing of sharpness or place.
_CONTRAST = 8.0
# Edges of now are a mean over so many seconds, those of the reference over ten minutes.
_NOW_S, _REFERENCE_S = 5.0, 600.0
# From so many pictures on the reference is one.
_LEAST_PICTURES = 20
# Correlation of the edges: above the first nothing has moved, below the last it is another view; between them the shift decides.
_SAME, _OTHER = 0.5, 0.1
# Mean difference of the channels: a grey picture, and one in colour.
_GREY, _COLOURED = 2.0, 4.0
# What has been so for a day is how it is now.
_ACCEPT_US = 86_400_000_000
_FLAT = ("black", "white", "covered")


class Pictures:
    """Of one lane. active: rules (`picture-…`) whose event had started and not ended when the agent last stopped."""

    def __init__(self, config: Picture, active: Collection[str] = ()) -> None:
        self._config = config
        self._watched = tuple(state for state in STATES if state in config.watch)
        after_us = dict.fromkeys(STATES, round(config.after_s * 1e6))
        after_us |= {"frozen": round(config.frozen_s * 1e6), "moved": round(config.after_s * _MOVED_TIMES * 1e6)}
        self._held = {
            state: _Held(after_us[state], round(config.clear_s * 1e6), RULE_PREFIX + state in active)
            for state in self._watched
        }
        self._before: Measures | None = None
        self._at_us: int | None = None
        self._seen_colour = RULE_PREFIX + "night" in active
        self._grey: bool | None = None
        self._focus = _Focus(config.sharp_ratio)
        self._place = _Place(config.shift_ratio)

    @property
    def states(self) -> tuple[State, ...]:
        """Those that hold now."""
        return tuple(state for state in self._watched if self._held[state].holds)

    def take(self, frame: Frame) -> list[Event]:
        """Events of states that begin or end with this picture. Most pictures are passed over: one a second is looked at."""
        if not self._watched or (self._at_us is not None and 0 <= frame.at_us - self._at_us < _EVERY_US):
            return []
        passed_s = 1.0 if self._at_us is None else min(10.0, max(0.0, (frame.at_us - self._at_us) / 1e6))
        self._at_us = frame.at_us
        now = measure(frame)
        if now is None:
            return []
        found = self._judge(now, frame.at_us, passed_s)
        self._before = now
        events = []
        for state in self._watched:
            phase = self._held[state].take(found.get(state), frame.at_us)
            if phase is not None:
                severity = "info" if state == "night" else "warn"
                rule = RULE_PREFIX + state
                events.append(Event(at_us=frame.at_us, rule=rule, severity=severity, phase=phase, label=state))
        return events

    def _judge(self, now: Measures, at_us: int, passed_s: float) -> dict[State, bool]:
        """Which states are so; of one that is missing this picture says nothing."""
        import numpy as np

        config = self._config
        black, white = now.mean < config.black_below, now.mean > config.white_above
        covered = now.spread < config.flat_below and not black and not white
        found: dict[State, bool] = {"black": black, "white": white, "covered": covered}
        before = self._before
        if black or white or covered:
            self._place.forget_now()
            return {**found, "frozen": False}
        if before is None or before.small.shape != now.small.shape:
            return found
        # Mostly the mean tells two pictures apart already.
        found["frozen"] = now.mean == before.mean and bool(np.array_equal(now.small, before.small))
        self._judge_colour(now, found)
        if now.spread < _CONTRAST or found["frozen"]:
            return found
        defocused = self._focus.take(*sharpness(now, before), at_us)
        if defocused is not None:
            found["defocused"] = defocused
        moved = self._place.take(now.edges, at_us, passed_s, learn=not defocused)
        if moved is not None:
            found["moved"] = moved and not defocused
        return found

    def _judge_colour(self, now: Measures, found: dict[State, bool]) -> None:
        """Night vision is grey where colours were seen before: of a camera without colours nothing is told. It shows other edges than the day."""
        if now.colour >= _COLOURED:
            grey, self._seen_colour = False, True
        elif now.colour < _GREY:
            grey = True
        else:
            return
        if grey != self._grey:
            self._place.forget()
            self._focus.forget()
        self._grey = grey
        if self._seen_colour:
            found["night"] = grey


class _Held:
    """A state with hysteresis: it begins when it was so for a while, and ends when it was not for a while."""

    def __init__(self, after_us: int, clear_us: int, holds: bool) -> None:
        self._after_us, self._clear_us, self.holds = after_us, clear_us, holds
        self._since_us: int | None = None  # since when it is otherwise than `holds` says

    def take(self, found: bool | None, at_us: int) -> str | None:
        """The phase that begins. found: None: not known."""
        if found is None:
            return None
        if found == self.holds or (self._since_us is not None and at_us < self._since_us):
            self._since_us = None
            return None
        if self._since_us is None:
            self._since_us = at_us
        if at_us - self._since_us < (self._clear_us if self.holds else self._after_us):
            return None
        self.holds, self._since_us = found, None
        return "start" if found else "end"


class _Focus:
    """Sharpness against its own long median: less detail that stays, and less detail in all. What the wind moves does not stay, but is there."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self.forget()

    def forget(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=_MINUTES)
        self._usual: tuple[float, float] | None = None
        self._noted_us = self._usual_us = 0

    def take(self, staying: float, fine: float, at_us: int) -> bool | None:
        """None: not known yet."""
        import numpy as np

        if at_us - self._usual_us > _ACCEPT_US:
            self.forget()
        blurred = False
        if self._usual is not None:
            usual, usual_fine = self._usual
            blurred = staying < self._ratio * usual and fine < usual_fine - _LESS * usual
        if not blurred:
            self._usual_us = at_us
        few = len(self._values) < _LEAST_VALUES
        if not blurred and (few or not 0 <= at_us - self._noted_us < _MINUTE_US):
            self._noted_us = at_us
            self._values.append((staying, fine))
            if len(self._values) >= _LEAST_VALUES:
                middle = np.median(self._values, axis=0)
                self._usual = (float(middle[0]), float(middle[1]))
        return None if self._usual is None else blurred


class _Place:
    """Where the edges are against where they were."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self.forget()

    def forget(self) -> None:
        self._reference: NDArray[np.float32] | None = None
        self._pictures = 0
        self._same_us = 0
        self.forget_now()

    def forget_now(self) -> None:
        self._now: NDArray[np.float32] | None = None
        self._now_pictures = 0

    def take(self, edges: "NDArray[np.float32]", at_us: int, passed_s: float, *, learn: bool) -> bool | None:
        """None: not known. learn: whether it may be taken into the reference."""
        import numpy as np

        if self._reference is None or self._reference.shape != edges.shape or at_us - self._same_us > _ACCEPT_US:
            self.forget()
            self._reference, self._same_us = np.zeros_like(edges), at_us
        self._now_pictures += 1
        share = max(1 / self._now_pictures, min(1.0, passed_s / _NOW_S))
        self._now = edges if self._now is None else self._now + np.float32(share) * (edges - self._now)
        known = self._pictures >= _LEAST_PICTURES
        same = known and _alike(edges, self._reference) >= _SAME
        if same:
            self._same_us = at_us
        if learn and (same or not known):
            self._pictures += 1
            share = max(1 / self._pictures, passed_s / _REFERENCE_S)
            self._reference += np.float32(share) * (edges - self._reference)
        if not known or self._now_pictures < _NOW_S:
            return None
        return not same and self._has_moved(self._now, self._reference)

    def _has_moved(self, now: "NDArray[np.float32]", reference: "NDArray[np.float32]") -> bool:
        import cv2
        import numpy as np

        alike = _alike(now, reference)
        if alike >= _SAME:
            return False
        if alike < _OTHER:
            return True
        shifts = [cv2.phaseCorrelate(old, new) for old, new in zip(reference, now, strict=True)]
        (across, down), _ = max(shifts, key=lambda one: one[1])
        return bool(np.hypot(across, down) >= self._ratio * now.shape[2])


def _alike(one: "NDArray[np.float32]", other: "NDArray[np.float32]") -> float:
    """Correlation of two pictures' edges, 1: the same."""
    import numpy as np

    norm = float(np.sqrt(np.vdot(one, one) * np.vdot(other, other)))
    return float(np.vdot(one, other)) / norm if norm > 1e-3 else 1.0
