"""The one error of the bridge. Who uses the bridge maps it to their own."""


class LinkError(Exception):
    """The link cannot be used: where (the port), what is wrong, what to do."""

    def __init__(self, *, where: str, what: str, remedy: str) -> None:
        super().__init__(where, what, remedy)
        self.where = where
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.remedy}"
