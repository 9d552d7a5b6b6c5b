"""What OpenCV documents of a VideoCapture on a V4L2 device (videoio.hpp, cap_v4l.cpp): `set` says False for what the driver refuses, `get` says what
it does. A typed peer: this machine has no such device, and its kernel no module that makes one.
"""


class V4l2Capture:
    """gives: property → what the device has instead of what it is asked for. refuses: properties that it does not know."""

    def __init__(self, gives: dict[int, float] | None = None, refuses: tuple[int, ...] = ()) -> None:
        self._gives, self._refuses = gives or {}, refuses
        self._values: dict[int, float] = {}
        self.calls: list[tuple[int, float]] = []

    def set(self, key: int, value: float) -> bool:
        self.calls.append((key, value))
        if key in self._refuses:
            return False
        self._values[key] = self._gives.get(key, value)
        return True

    def get(self, key: int) -> float:
        return 0.0 if key in self._refuses else self._values.get(key, self._gives.get(key, 0.0))
