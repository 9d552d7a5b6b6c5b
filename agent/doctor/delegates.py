"""Hardware for models beside the CPU: what is there, whether it runs a small model of our own with the CPU's answers, and what to install."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor import Check, State

if TYPE_CHECKING:
    from agent.inference.model import Delegate
    from agent.inference.probe import Finding

_KNOWN = ("gpu", "edgetpu")


def delegates(libraries: "Mapping[str, Delegate]", named: Collection[str], cache: Path | None) -> Iterator[Check]:
    """libraries: the `[delegate]` tables. named: what models ask for by name."""
    from agent.inference.delegates import find

    for name in (*(name for name in _KNOWN if name not in libraries), *libraries):
        title = name if name in _KNOWN and name not in libraries else f"delegate {name}"
        finding = find(name, libraries)
        if finding.why is not None:
            yield _not_to_be_had(title, finding, asked=name in libraries or name in named)
        elif name == "edgetpu" and name not in libraries:
            # A model that is not compiled for it shows nothing; those of the config are tried by themselves.
            yield Check(name=title, state="ok", found=finding.found, facts={"found": finding.found})
        else:
            yield _tried(title, finding, libraries, cache)


def _not_to_be_had(title: str, finding: "Finding", *, asked: bool) -> Check:
    state: State = "fail" if asked else "warn" if finding.found else "absent"
    found = f"{finding.found}: {finding.why}" if finding.found else str(finding.why)
    facts = {"found": finding.found, "why": finding.why}
    return Check(
        name=title, state=state, found=found, remedy=finding.remedy or "Leave it out of `delegates`", facts=facts
    )


def _tried(title: str, finding: "Finding", libraries: "Mapping[str, Delegate]", cache: Path | None) -> Check:
    """In a child process, as a model of the config would be."""
    from agent.catalogue.entries import entries
    from agent.inference import model_file
    from agent.inference.session import Wanted, open_session
    from agent.problems import Problem

    path = entries()["view"].shipped
    assert path is not None
    facts = {"found": finding.found}
    wanted = Wanted(delegates=(finding.name,), libraries=libraries, cache=cache)
    try:
        model, digest = model_file.load(path, sha256=None, where=title)
        with open_session(model, digest, wanted, where=title) as session:
            choice = getattr(session, "choice", None)
            timing = choice.measured.get(finding.name) if choice is not None else None
    except Problem as problem:
        why = problem.what.partition(f"{finding.name}: ")[2] or problem.what
        return Check(
            name=title,
            state="warn",
            found=f"{finding.found}: refuses the model view: {why}",
            remedy=finding.remedy or "Models that name it fall back to what stands behind it in `delegates`",
            facts={**facts, "why": why},
        )
    took = f" in {timing.p50_ms:.3g} ms (p50)" if timing is not None else ""
    if timing is not None:
        facts |= {"view_p50_ms": round(timing.p50_ms, 3)}
    return Check(
        name=title, state="ok", found=f"{finding.found}: runs the model view{took} with the CPU's answers", facts=facts
    )
