"""The agent: store, lanes, sync, in the order in which they start and stop.

Stop: lanes close their tick → hooks → the sender sends for at most 2 s → last ledger, `offline`, DISCONNECT → the store closes.
"""

import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from agent.clock import Clock
from agent.config import forecast
from agent.config.file import File
from agent.config.read import Loaded
from agent.config.write import recorded_toml
from agent.events.snapshots import Snapshots
from agent.hours import Hours
from agent.inference.turns import Turns
from agent.log import fact
from agent.pipeline import build
from agent.pipeline.birth import make_birth
from agent.pipeline.health import Health
from agent.pipeline.learn_time import LearnTime
from agent.pipeline.lives import Lives
from agent.pipeline.looking import Looking, open_looking
from agent.pipeline.recorder import Recorder, open_recorder
from agent.pipeline.showing import Showing, check_recording
from agent.pipeline.state_file import StateFile
from agent.pipeline.supervisor import Supervisor
from agent.pipeline.units import KIND as UNIT
from agent.pipeline.units import Units
from agent.problems import Exit, Problem
from agent.records import LaneSecond
from agent.store import live
from agent.store.folder import free_bytes
from agent.store.lane_rows import lane_second_job
from agent.store.reader import names_of, started_rules
from agent.store.transaction import Transaction
from agent.store.writer import Committed, Job, Store, open_store
from agent.summaries import event_items, redating, result_items, rollup, several, totals
from agent.sync.sync import open_sync
from agent.version import VERSION

_FLUSH_S = 2.0
_SUBMIT_S = 5.0


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line adds to the config. record: a recording's folder. live: where the store lies, in place of the config's folder."""

    report: Path | None = None
    for_s: float | None = None
    record: Path | None = None
    record_for_s: float | None = None
    data: Path | None = None
    lanes: tuple[str, ...] = ()
    offline: bool = False


def run_agent(loaded: Loaded, options: Options, *, clock: Clock, stop: threading.Event) -> Exit:
    """Runs until the stop event, `for_s`, or the end of all lanes. Problem: what cannot heal, with its exit code."""
    file = loaded.file
    logger = logging.getLogger(__name__)
    begun_us = clock.boot_us()
    if options.record is not None:
        check_recording(loaded)
    with ExitStack() as stack:
        units = Units()
        store = stack.enter_context(_open_store(loaded, options, units, clock, stack))
        with store.read() as connection:
            units.load(names_of(connection, UNIT))
        submit = _patient(store, stop)
        lives = _lives(store, file)
        units.submit = lambda job: submit(job, False)
        recorder = stack.enter_context(_recorder(loaded, options, store, lives)) if options.record is not None else None
        hours = Hours(file.device.timezone)
        learn_time = LearnTime(store, recorder, clock, hours)
        learn_time()
        snapshots = stack.enter_context(_snapshots(file, options, store, clock))
        showing = Showing(file, snapshots, logger)
        looking = Looking(showing, lambda: supervisor.states(), clock)

        def take_second(second: LaneSecond) -> None:
            looking.note(second)
            submit(lane_second_job(second), bool(second.events))
            lives.note(second)

        supervisor = Supervisor(
            file,
            machine=build.machine(file, Turns(file.device.models_at_once)),
            clock=clock,
            stop=stop,
            rng=random.Random(f"{clock.boot_id()}{begun_us}"),
            submit=take_second,
            lives=lives,
            hours=hours,
            units=units,
            active=lambda lane: _active(store, lane),
            recorder=recorder,
            place=loaded.placed,
            showing=showing,
        )
        stack.enter_context(open_looking(looking, store.folder))
        state_file = StateFile(store, clock, stop)
        state_file.snapshots = snapshots
        if file.mqtt is not None and not options.offline:
            state_file.sync = stack.enter_context(
                open_sync(
                    store,
                    file.mqtt,
                    device=f"{file.device.site}/{file.device.name}",
                    birth=lambda: make_birth(loaded, store, clock, supervisor.states(), supervisor.lane),
                    config_digest=loaded.digest,
                    clock=clock,
                    stop=stop,
                    rng=random.Random(f"{begun_us}{os.getpid()}"),
                    allowed=file.commands,
                    compress=file.sync.batch == "zlib",
                    says=lambda: state_file.body(supervisor.states()),
                    budget=file.budget,
                    needs=forecast.needs(file) if file.budget is not None else None,
                )
            )

        sync = state_file.sync
        health = Health(store, clock, supervisor.states, lambda: None if sync is None else sync.state.budget)

        def look() -> None:
            store.check()
            learn_time()
            if sync is not None:
                health.look()
            if state_file.has_changed():
                state_file.tell(supervisor.states())
            seconds = (clock.boot_us() - begun_us) / 1e6
            if options.for_s is not None and seconds >= options.for_s:
                stop.set()
            if recorder is not None and options.record_for_s is not None and seconds >= options.record_for_s:
                recorder.close()

        logger.info(
            fact("running", device=f"{file.device.site}/{file.device.name}", lanes=len(file.lane), store=store.path)
        )
        code = supervisor.run(look, state_file.tell)
        try:
            store.submit(_nothing, ends_group=True).wait(_FLUSH_S)
        except TimeoutError:
            logger.warning(fact("the store is slow, its end is waited for", path=store.path))
    logger.info(fact("stopped", exit=int(code)))
    return code


def hooks(loaded: Loaded, units: Units) -> list[Callable[[Transaction], None]]:
    """What the store runs before each commit: events become items, closed windows become summaries."""
    return [
        redating.hook(),
        several.hook(build.combined_rules(loaded.file)),
        event_items.hook(),
        rollup.hook(loaded.digest, build.model_digests(loaded), build.video_lanes(loaded.file), units=units.known),
        redating.hook(),
        *(
            [result_items.hook(tuple(loaded.file.lane))]
            if loaded.file.sync.results and loaded.file.mqtt is not None
            else []
        ),
    ]


@contextmanager
def _open_store(loaded: Loaded, options: Options, units: Units, clock: Clock, stack: ExitStack) -> Iterator[Store]:
    file = loaded.file
    report = stack.enter_context(_reporter(options.report)) if options.report is not None else None
    with open_store(
        options.data or Path(file.device.data),
        clock=clock,
        device=f"{file.device.site}/{file.device.name}",
        settings=file.store,
        names=build.names(file),
        grains=build.grains(file),
        hooks=hooks(loaded, units),
        report=report,
        totals=totals.totals,
    ) as store:
        yield store


@contextmanager
def _reporter(path: Path) -> Iterator[Callable[[Committed], None]]:
    """Appends one JSON line a commit, after it returned."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise Problem(
            where=str(path),
            what=f"the report cannot be written: {error.strerror}",
            remedy="Name another file",
            code=Exit.COMMAND_LINE,
        ) from error
    try:
        yield lambda committed: _ignore(os.write(handle, msgspec.json.encode(committed) + b"\n"))
    finally:
        os.close(handle)


def _ignore(_: int) -> None:
    return None


def _nothing(_: Transaction) -> None:
    return None


@contextmanager
def _recorder(loaded: Loaded, options: Options, store: Store, lives: Lives) -> Iterator[Recorder]:
    assert options.record is not None
    active = {lane: sorted(rules) for lane in loaded.file.lane if (rules := _active(store, lane))}
    head = {
        "agent": VERSION,
        "machine": os.uname().machine,
        "config": loaded.digest,
        "models": build.model_digests(loaded),
        **({"active": active} if active else {}),
        **({"live": said} if (said := lives.head()) else {}),
    }
    text = recorded_toml(loaded.effective, build.model_digests(loaded))
    with open_recorder(options.record, head, text, keep_free=loaded.file.store.keep_free) as recorder:
        yield recorder


@contextmanager
def _snapshots(file: File, options: Options, store: Store, clock: Clock) -> Iterator[Snapshots | None]:
    """None: no rule wants any, or it is `record` and its like that run, which keep nothing beside their folder."""
    if options.data is not None or not any(rule.snapshot for rule in file.rule.values()):
        yield None
        return
    with Snapshots(
        store.folder,
        file.snapshots,
        boot=store.boot,
        clock=clock,
        keep_free=file.store.keep_free,
        free_bytes=free_bytes,
    ) as snapshots:
        yield snapshots


def _patient(store: Store, stop: threading.Event) -> Callable[[Job, bool], None]:
    """(job, whether it ends its group) → the store. One that is behind holds the lane; what its source replaces meanwhile counts as dropped.

    TimeoutError: at the end only.
    """

    def submit(job: Job, ends_group: bool) -> None:
        while True:
            ending = stop.is_set()
            try:
                store.submit(job, ends_group=ends_group or ending, timeout_s=_SUBMIT_S)
                return
            except TimeoutError:
                if ending:
                    raise

    return submit


def _lives(store: Store, file: File) -> Lives:
    with store.read() as connection:
        found = {name: live.read(connection, name, store.boot) for name in file.lane}
    return Lives({name: one for name, one in found.items() if one is not None})


def _active(store: Store, lane: str) -> frozenset[str]:
    with store.read() as connection:
        return started_rules(connection, lane)
