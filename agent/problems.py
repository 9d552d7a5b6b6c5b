"""The one error for people: where it is, what is wrong, what to do. Shown by `cli` and by `pipeline/supervisor` only.

A library's error becomes a Problem in the file that calls the library. A Problem never holds a secret.
"""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0  # done, or stopped by a signal in good order
    NO = 1  # ran, and the answer is no: missing items, a blind lane
    COMMAND_LINE = 2
    MODEL = 3
    CONFIG = 4
    STORE = 5
    NOTHING_LEFT = 6


class Problem(Exception):
    """One thing that is wrong: `north.toml:14 lane.yard.source.url`, what, and the remedy.

    code: with which exit code a command ends that cannot go on without it.
    """

    def __init__(self, *, where: str, what: str, remedy: str, code: Exit = Exit.NO) -> None:
        super().__init__(where, what, remedy)
        self.where = where
        self.what = what
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}" if self.where else f"{self.what}. {self.remedy}"

    def at(self, where: str) -> "Problem":
        """The same one, at a place that says more."""
        return type(self)(where=where, what=self.what, remedy=self.remedy, code=self.code)


class Problems(Exception):
    """Several at once, in the order in which a reader meets them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    @property
    def code(self) -> Exit:
        return self.problems[0].code if self.problems else Exit.NO

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
