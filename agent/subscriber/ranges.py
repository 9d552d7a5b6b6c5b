"""Sets of whole numbers as ascending, disjoint, non-adjacent ranges (first, last), both included."""

from collections.abc import Iterable, Iterator

Ranges = list[tuple[int, int]]


def normal(ranges: Iterable[tuple[int, int]]) -> Ranges:
    result: Ranges = []
    for first, last in sorted(one for one in ranges if one[0] <= one[1]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result


def subtract(ranges: Ranges, taken: Ranges) -> Ranges:
    """Numbers of the first that are not in the second; both normal."""
    result: Ranges = []
    index = 0
    for first, last in ranges:
        while index < len(taken) and taken[index][1] < first:
            index += 1
        at = index
        while at < len(taken) and taken[at][0] <= last:
            if taken[at][0] > first:
                result.append((first, taken[at][0] - 1))
            first = taken[at][1] + 1
            at += 1
        if first <= last:
            result.append((first, last))
    return result


def intersect(ranges: Ranges, others: Ranges) -> Ranges:
    return subtract(ranges, subtract(ranges, others))


def count(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def numbers(ranges: Ranges) -> Iterator[int]:
    for first, last in ranges:
        yield from range(first, last + 1)


def text(ranges: Ranges, most: int = 5) -> str:
    """3, 7-9, … and 4 more: for people."""
    words = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:most]]
    return ", ".join(words) + (f", … and {len(ranges) - most} more" if len(ranges) > most else "")
