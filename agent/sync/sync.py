"""The sync thread: connects, serves, backs off, and ends in order. What happens here never reaches the lanes or the store."""

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from agent.clock import Clock
from agent.log import Repeated, fact
from agent.messages import topics
from agent.messages.birth import Birth
from agent.problems import Problem
from agent.store.writer import Store
from agent.sync import granted, tls
from agent.sync import settings as sync_settings
from agent.sync.address import Address, read_address
from agent.sync.attempts import SHORT_S, Attempts
from agent.sync.budget import Budget
from agent.sync.connection import Connection, open_connection
from agent.sync.credentials import Watch, broker_certificate, certificate_problem
from agent.sync.ledger import Ledgers
from agent.sync.link import Interrupted
from agent.sync.metered import Metered, SpentError
from agent.sync.metering import Meter
from agent.sync.offset import SPREAD
from agent.sync.outgoing import Counts
from agent.sync.requests import Requests
from agent.sync.sender import Sender
from agent.sync.serve import LEDGER_S, Identity, Service, draw_identity
from agent.sync.session import LinkState, Will
from agent.sync.states import Needs
from agent.sync.wake import Wake

CONNECT_LIMIT_S = 2.0
STORE_LIMIT_S = 5.0
# After the last items: ledger, offline and DISCONNECT get this long at most.
LAST_WORDS_S = 0.6
# Changed passwords and certificates are looked for this often.
_WATCH_S = 5.0
# Without room in the data budget, it is asked again this often.
_NO_ROOM_S = 10.0

log = logging.getLogger(__name__)


class _RenewedError(Exception):
    """A password or certificate was replaced: the connection is made anew with it."""


class Sync:
    """Made by `open_sync`. `state` may be read by any thread at any time."""

    def __init__(
        self, store: Store, settings: sync_settings.Config, *, device: str, birth: Callable[[], Birth], config_digest: str,
        clock: Clock, stop: threading.Event, rng: random.Random, ledger_s: float, address: Address, wake: Wake, requests: Requests, compress: bool,
        metered: Metered, spread: float,
    ) -> None:  # fmt: skip
        self._metered = metered
        self._spread = spread
        self._store = store
        self._settings = settings
        self._device = device
        self._birth = birth
        self._config_digest = config_digest
        self._clock = clock
        self._stop = stop
        self._ledger_s = ledger_s
        self._address = address
        self._wake = wake
        self._closing = threading.Event()
        self._send_until_us = self._end_us = 0
        self._counts = Counts()
        self._ledgers = Ledgers(store, device, clock)
        self._requests = requests
        self._compress = compress
        self._watch = Watch(settings)
        self._repeated = Repeated(log)
        self._attempts = Attempts(address, rng, settings.reconnect_max_s)
        self._retain = True  # the will; some brokers take none that is retained
        self._acknowledged = False  # whether the broker took anything on the newest connection
        self._bytes = (0, 0)  # sent, received by connections that have ended
        self.state = LinkState(connected=False, broker=str(address), since_us=clock.boot_us())
        self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
        self._thread.start()

    def close(self, final_send_s: float = 2.0) -> None:
        """Sends what is stored for at most this long, then ledger, offline, DISCONNECT. Returns when the thread has ended, or has not in time."""
        if not self._closing.is_set():
            now_us = self._clock.boot_us()
            self._send_until_us = now_us + round(final_send_s * 1e6)
            self._end_us = self._send_until_us + round(LAST_WORDS_S * 1e6)
            self._closing.set()
            self._wake.set()
        self._thread.join(final_send_s + LAST_WORDS_S + 0.2)
        if self._thread.is_alive():
            log.warning(fact("sync did not end in time", limit_s=final_send_s + LAST_WORDS_S))

    def _run(self) -> None:
        while not self._closing.is_set() and not self._stop.is_set():
            if not self._has_room():
                continue
            began_us = self._clock.boot_us()
            try:
                self._connect_and_serve()
                break
            except Interrupted:
                break
            except granted.RetainRefusedError:
                self._retain = False
                continue
            except (SpentError, _RenewedError):
                self._attempts.begin_anew()
                self._tell(connected=False, session=None)
                continue
            except Problem as error:
                problem = error
            except TimeoutError as error:
                problem = Problem(
                    where="store", what=f"it did not answer the sync thread: {error}", remedy="It is tried again."
                )
            except Exception as error:  # whatever it is, the lanes and the store go on without a network
                log.debug("sync failed", exc_info=error)
                problem = Problem(
                    where="sync",
                    what=f"it failed: {type(error).__name__}: {error}",
                    remedy="It is tried again; please report this.",
                )
            finally:
                self._metered.disconnected()
            connected = self.state.connected
            lived_s = (self._clock.boot_us() - (self.state.since_us if connected else began_us)) / 1e6
            problem = self._attempts.judge(
                problem, connected=connected, lived_s=lived_s, acknowledged=self._acknowledged
            )
            wait_s = self._attempts.wait_s()
            self._tell(connected=False, problem=str(problem), retry_s=round(wait_s, 3), session=None)
            self._repeated.fault("link", str(problem), self._clock.boot_us())
            self._wait(wait_s)
        self._metered.close()
        if self.state.connected:
            self._tell(connected=False, session=None)

    def _has_room(self) -> bool:
        """Whether the data budget has room for a connection. When it has none, some time has passed at the return."""
        problem = self._metered.without_room()
        if problem is None:
            return True
        self._tell(connected=False, problem=problem, session=None, budget=self._metered.report)
        self._repeated.fault("budget", problem, self._clock.boot_us())
        self._clock.wait(self._closing, _NO_ROOM_S)
        return False

    def _wait(self, wait_s: float) -> None:
        """Before the next attempt; a password or certificate that is replaced meanwhile ends it."""
        while wait_s > 0:
            step_s = wait_s if self._watch.idle else min(wait_s, _WATCH_S)
            if self._clock.wait(self._closing, step_s) or self._watch.changed():
                return
            wait_s -= step_s

    def _can_be_used(self) -> bool:
        """What was replaced can be loaded: else the link that there is goes on."""
        try:
            if self._address.tls:
                tls.open_context(self._settings)
        except Problem as problem:
            self._watch.begin()
            self._repeated.fault("certificate", str(problem), self._clock.boot_us())
            return False
        return True

    def _connect_and_serve(self) -> None:
        """Returns after an orderly end; raises what ended the connection otherwise."""
        identity = draw_identity(self._store, self._device, self._config_digest, self._clock, STORE_LIMIT_S)
        self._watch.begin()
        certificate = certificate_problem(self._settings, identity.connected_utc_us / 1e6)
        if certificate is not None:
            self._repeated.fault("certificate", str(certificate), self._clock.boot_us())
        else:
            self._repeated.gone("certificate", "this device's certificate is good for longer again")
        will = Will(topic=topics.status(self._device), payload=identity.status("lost"))
        with open_connection(
            self._settings, client_id=topics.client_id(self._device), will=will, clock=self._clock, wake=self._wake,
            closing=self._closing.is_set, timeout_s=CONNECT_LIMIT_S, counter=self._metered.counter, retain=self._retain,
        ) as connection:  # fmt: skip
            self._tell(
                connected=True, problem=None, retry_s=None, session=identity.session, connects=self.state.connects + 1
            )
            log.info(fact("connected", broker=self._address, session=identity.session))
            self._remark(connection, identity)
            self._metered.connected()
            sender = Sender(
                self._store, connection, device=self._device, window=min(self._settings.window, connection.limits.messages),
                inflight_bytes=self._settings.inflight, clock=self._clock, counts=self._counts, store_limit_s=STORE_LIMIT_S,
                compress=self._compress, budget=self._metered.allowance, tls=self._address.tls, spread=self._spread,
            )  # fmt: skip
            try:
                service = Service(
                    self._store, connection, sender, self._ledgers, identity, self._birth, self._requests, self._clock,
                    ledger_s=self._ledger_s, budget=self._metered.allowance, tls=self._address.tls,
                )  # fmt: skip
                told_us = watched_us = self._clock.boot_us()
                while not self._closing.is_set():
                    service.step()
                    self._metered.look(service, identity)
                    if self._clock.boot_us() - told_us >= 1_000_000:
                        told_us = self._clock.boot_us()
                        self._tell(problem=service.ails or (None if certificate is None else str(certificate)))
                        self._tell_counts(connection.sent_bytes, connection.received_bytes)
                        if told_us - self.state.since_us >= SHORT_S * 1e6:
                            self._attempts.settled()
                            self._repeated.gone("link", f"the link to {self._address} is back")
                    if self._clock.boot_us() - watched_us >= _WATCH_S * 1e6:
                        watched_us = self._clock.boot_us()
                        if self._watch.changed() and self._can_be_used():
                            log.info(fact("password or certificate replaced, connecting anew", broker=self._address))
                            connection.disconnect()
                            raise _RenewedError
                service.end(self._send_until_us, self._end_us)
            finally:
                self._acknowledged = connection.has_acknowledged
                self._tell_counts(connection.sent_bytes, connection.received_bytes)
                self._bytes = (self.state.sent_bytes, self.state.received_bytes)

    def _remark(self, connection: Connection, identity: Identity) -> None:
        """What works less well with this broker."""
        found = granted.remarks(connection.limits, self._address)
        soon = broker_certificate(connection.certificate_until_s, identity.connected_utc_us / 1e6, self._address)
        self._tell(remarks=(*found, *([] if soon is None else [soon])))
        if self.state.remarks:
            self._repeated.fault("broker", "; ".join(self.state.remarks), self._clock.boot_us())

    def _tell(self, **changes: object) -> None:
        if "connected" in changes and changes["connected"] != self.state.connected:
            changes["since_us"] = self._clock.boot_us()
        self.state = msgspec.structs.replace(self.state, **changes)

    def _tell_counts(self, sent_bytes: int, received_bytes: int) -> None:
        self._tell(
            sent_bytes=self._bytes[0] + sent_bytes,
            received_bytes=self._bytes[1] + received_bytes,
            budget=self._metered.report,
            **msgspec.structs.asdict(self._counts),
        )


@contextmanager
def open_sync(
    store: Store,
    settings: sync_settings.Config,
    *,
    device: str,
    birth: Callable[[], Birth],
    config_digest: str,
    clock: Clock,
    stop: threading.Event,
    rng: random.Random,
    ledger_s: float = LEDGER_S,
    allowed: sync_settings.Commands | None = None,
    says: Callable[[], dict[str, Any]] = dict,
    compress: bool = True,
    budget: sync_settings.Budget | None = None,
    needs: Needs | None = None,
    spread: float = SPREAD,
) -> Iterator[Sync]:
    """Runs the sync thread; leaving the `with` closes it in order (`Sync.close`), before the store is closed.

    device: "site/name". birth: called on the sync thread, at each connect and every few seconds. config_digest: as in status. stop: once set,
    no new connection is begun; a standing one goes on until the end, so that what the lanes still store goes out. ledger_s: between two ledgers,
    if anything changed. allowed: who may ask for what, None: anybody. says: the answer to cmd/status. compress: batches on `back/`.
    budget: the table `[budget]`; needs: the forecast of what is to be sent. spread: the share of a grain over which a fleet spreads its summaries.
    Problem (CONFIG): an address, certificate or key that cannot be right.
    """
    address = read_address(settings)
    if address.tls:
        tls.open_context(settings)
    settings = msgspec.structs.replace(settings, keepalive_s=sync_settings.keepalive_s(settings, budget))
    counted = None
    if budget is not None:
        meter = Meter(budget.interface, shared=budget.shared)
        counted = Budget(store, budget, meter, clock, needs=needs, store_limit_s=STORE_LIMIT_S)
    metered = Metered(counted, clock, tls=address.tls)
    with Wake() as wake:
        sync = Sync(
            store, settings, device=device, birth=birth, config_digest=config_digest, clock=clock, stop=stop, rng=rng,
            ledger_s=ledger_s, address=address, wake=wake,
            requests=Requests(store, device, clock, allowed=allowed, says=says, store_limit_s=STORE_LIMIT_S, room=metered.resend_room),
            compress=compress, metered=metered, spread=spread,
        )  # fmt: skip
        try:
            yield sync
        finally:
            sync.close()
