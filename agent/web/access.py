"""Who may see the page: whoever has the address with its token, from this machine's own name, in one browser.

The token stands in the address that is printed. Its first use gives the browser a session, as a cookie that no script reads and no other site
sends. In the site's network a token opens one browser, and the next one is told at once.
"""

import hmac
from collections.abc import Callable, Collection

import msgspec


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """csrf: what a request that changes something must repeat; the page holds it, other sites cannot read it."""

    name: str
    csrf: str


class Access:
    """draw: a new secret of at least 128 random bits. hosts: what a request may call this server ("127.0.0.1:8377"). one_time: a token opens one
    browser. told: called with each token that is valid from now on.
    """

    def __init__(
        self, hosts: Collection[str], *, draw: Callable[[], str], one_time: bool, told: Callable[[str], None]
    ) -> None:
        self.hosts = frozenset(hosts)
        self._draw = draw
        self._one_time = one_time
        self._told = told
        self._sessions: dict[str, Session] = {}
        self._token = draw()
        told(self._token)

    def enter(self, token: str) -> Session | None:
        """A session for who has the token, None for who has not."""
        if not _same(token, self._token):
            return None
        if self._one_time:
            self._token = self._draw()
            self._told(self._token)
        session = Session(name=self._draw(), csrf=self._draw())
        self._sessions[session.name] = session
        return session

    def session(self, name: str | None) -> Session | None:
        return self._sessions.get(name) if name is not None else None

    def may_change(self, session: Session, csrf: str | None, host: str, origin: str | None) -> bool:
        """Whether a request that changes something comes from the page itself."""
        return csrf is not None and _same(csrf, session.csrf) and origin in (None, f"http://{host}")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
