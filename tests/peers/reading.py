"""Reads a source that opens again and again, until what is looked for comes."""

from collections.abc import Callable

from agent.records import Frame, Gap, Input
from agent.sources.reopening import Reopening


def read_until(source: Reopening, found: Callable[[Input], bool], reads: int = 300) -> list[Input]:
    """All records up to it."""
    records = []
    for _ in range(reads):
        record = source.read(0.2)
        if record is not None:
            records.append(record)
            if found(record):
                return records
    raise AssertionError(f"not found in {records[-3:]}; {source.problem}")


def is_gap(record: Input) -> bool:
    return isinstance(record, Gap)


def is_frame(record: Input) -> bool:
    return isinstance(record, Frame)
