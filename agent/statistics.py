"""Statistics that merge by adding: log bins by the DDSketch rule, and sums.

Log bins: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019. With relative
accuracy g, gamma = (1 + g) / (1 - g); a value v > 0 falls in bin ceil(log(v) / log(gamma)); the bin's estimate 2 gamma^bin / (gamma + 1) is
within g of every value in it. Bins are integers, so any merge order gives the same counts.
"""

import math
from collections.abc import Iterable, Mapping

ACCURACY = 0.02
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA = math.log(_GAMMA)
# Values at or below this are one bin: no clock here resolves a latency below a nanosecond.
_LEAST = 1e-6
LEAST_BIN = math.ceil(math.log(_LEAST) / _LOG_GAMMA)

Bins = dict[int, int]


def bin_of(value: float) -> int:
    """The bin of a value ≥ 0."""
    return LEAST_BIN if value <= _LEAST else math.ceil(math.log(value) / _LOG_GAMMA)


def value_of(bin_number: int) -> float:
    """The estimate for a bin, within ACCURACY of every value that falls in it."""
    return 2 * math.pow(_GAMMA, bin_number) / (_GAMMA + 1)


def add(bins: Bins, value: float) -> None:
    number = bin_of(value)
    bins[number] = bins.get(number, 0) + 1


def merge(into: Bins, other: Mapping[int, int] | Iterable[tuple[int, int]]) -> None:
    pairs = other.items() if isinstance(other, Mapping) else other
    for number, count in pairs:
        into[number] = into.get(number, 0) + count


def quantile(bins: Mapping[int, int], share: float) -> float | None:
    """The value below which `share` of all lie (lower rank, as DDSketch counts), None for no values."""
    total = sum(bins.values())
    if total == 0:
        return None
    rank = share * (total - 1)
    seen = 0
    for number in sorted(bins):
        seen += bins[number]
        if seen > rank:
            return value_of(number)
    return value_of(max(bins))
