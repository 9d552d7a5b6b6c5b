"""The one error that leaves this room."""


class SubscriberError(Exception):
    """where: the broker's address, the file or the option; what is wrong; what to do. Never holds a secret."""

    def __init__(self, *, where: str, what: str, remedy: str) -> None:
        super().__init__(where, what, remedy)
        self.where = where
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"
