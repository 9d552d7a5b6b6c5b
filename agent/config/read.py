"""A config file → `Loaded`: the file, `conf.d/*.toml` beside it over it, names filled in, secrets read, paths made absolute, everything typed."""

import hashlib
import json
import os
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.config import check
from agent.config.file import File, Kind
from agent.config.identity import IdentityError, filled_in
from agent.config.origin import Origins, merged
from agent.config.walk import Finding, Key, Walk
from agent.problems import Exit, Problem, Problems

# Where words such as @serial are filled in: what becomes topics, and the name that the broker knows the device by.
_FILLED_IN: tuple[Key, ...] = (("device", "site"), ("device", "name"), ("mqtt", "user"))
_SECRET_ENDS = ("_file", "_env")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """path: as given. digest: "sha256:…" of the effective config, without secrets and defaults."""

    file: File
    path: Path
    digest: str
    effective: dict[str, Any]
    origins: Origins

    def where(self, *key: str | int) -> str:
        """A place for a Problem: `yard.toml:14 lane.yard.source.url`, for ("lane", "yard", "source", "url")."""
        return self.origins.where(key)

    def placed(self, problem: Problem) -> Problem:
        """A problem of a running lane or its rules, `lane.yard.source.url (…)`, with the file and line that set the key in front."""
        key, blank, rest = problem.where.partition(" ")
        if not key.startswith(("lane.", "rule.")):
            return problem
        return problem.at(f"{self.where(*key.split('.'))}{blank}{rest}")

    @property
    def device(self) -> str:
        """Its identity: "site/name"."""
        return f"{self.file.device.site}/{self.file.device.name}"

    def only(self, lanes: Collection[str]) -> "Loaded":
        """With these lanes and the rules that name them."""
        kept = {name: lane for name, lane in self.file.lane.items() if name in lanes}
        rules = {
            name: rule
            for name, rule in self.file.rule.items()
            if {rule.lane, *(also.lane for also in rule.with_)} <= set(lanes)
        }
        effective = {**self.effective, "lane": {name: self.effective["lane"][name] for name in kept}}
        if "rule" in effective:
            effective["rule"] = {name: self.effective["rule"][name] for name in rules}
        file = msgspec.structs.replace(self.file, lane=kept, rule=rules)
        return msgspec.structs.replace(self, file=file, effective=effective)


def read(path: Path, *, environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Loaded:
    """The config, or Problems (Exit.CONFIG) that name everything that is wrong in it. root: where etc/machine-id and the like are looked for."""
    loaded, problems = examine(path, environment=environment, root=root, on_this_machine=False)
    if loaded is None or problems:
        raise Problems(problems)
    return loaded


def examine(
    path: Path,
    *,
    environment: Mapping[str, str] | None = None,
    root: Path = Path("/"),
    on_this_machine: bool,
    instead: Mapping[Path, bytes] | None = None,
) -> tuple[Loaded | None, list[Problem]]:
    """(the config or None, every problem in the order of the file). on_this_machine: look also for model files and the like
    (agent/config/machine.py). instead: what to read in place of a file's content.
    """
    environment = os.environ if environment is None else environment
    texts, problems = _texts(path, instead or {})
    if problems:
        return None, problems
    table, origins = merged(texts)
    walk = Walk(origins.folder, environment)
    _fill_in(table, walk, environment, root)
    file = walk.take(msgspec.inspect.type_info(File), table, ())
    if isinstance(file, File):
        check.check(file, walk)
        if on_this_machine:
            from agent.config import machine  # only now: `run` does not need what looks into the catalogue

            machine.check(file, walk)
    problems = _problems(walk.findings, origins)
    if problems and not on_this_machine:
        return None, problems
    bare = _without_secrets(table)
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True, default=str).encode()).hexdigest()
    return Loaded(
        file=file, path=path, digest=f"sha256:{digest}", effective=_effective(bare, file), origins=origins
    ), problems


def files(path: Path) -> list[tuple[str, Path]]:
    """(how it is called, where it is) of the file and of its overlays in order of name."""
    over = sorted((path.parent / "conf.d").glob("*.toml"))
    return [(path.name, path), *((f"conf.d/{one.name}", one) for one in over)]


def _texts(
    path: Path, instead: Mapping[Path, bytes]
) -> tuple[list[tuple[str, Path, str, dict[str, Any]]], list[Problem]]:
    """(how it is called, where it is, its text, its tables) of the file and of its overlays in order of name."""
    texts, problems = [], []
    for label, place in files(path):
        try:
            text = (instead[place] if place in instead else place.read_bytes()).decode(
                "utf-8-sig"
            )  # Windows editors put a mark before the text
            tables = tomllib.loads(text)
            texts.append((label, place, text.replace("\r\n", "\n"), tables))
        except OSError as error:
            problems.append(
                _problem(
                    label if place != path else str(path),
                    f"cannot be read ({error.strerror})",
                    "Name a config file; `edge-agent init FILE` writes one.",
                )
            )
        except UnicodeDecodeError as error:
            problems.append(_problem(label, f"is not UTF-8 text (byte {error.start})", "Save it as UTF-8."))
        except tomllib.TOMLDecodeError as error:
            problems.append(_syntax_problem(label, text, error))
    return texts, problems


def _syntax_problem(label: str, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """tomllib stops at the first mistake and puts its place at the end of its message: `… (at line 3, column 5)`."""
    message, _, place = str(error).rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    line = int(words[1]) if words[:1] == ["line"] else max(1, len(text.rstrip("\n").splitlines()))
    what = f"is not TOML: {message[:1].lower()}{message[1:]}" if message else "is not TOML"
    column = f" (column {words[3]})" if len(words) == 4 else ""
    return _problem(
        f"{label}:{line}",
        what + column,
        "Mend it and check again: there may be more problems, seen only once it can be read.",
    )


def _problem(where: str, what: str, remedy: str) -> Problem:
    return Problem(where=where, what=what, remedy=remedy, code=Exit.CONFIG)


def _problems(findings: list[Finding], origins: Origins) -> list[Problem]:
    placed = sorted(findings, key=lambda finding: origins.place(finding.key)[:2])
    return [_problem(origins.where(finding.key), finding.what, finding.remedy) for finding in placed]


def _fill_in(table: dict[str, Any], walk: Walk, environment: Mapping[str, str], root: Path) -> None:
    for section, name in _FILLED_IN:
        keys = table.get(str(section))
        if not isinstance(keys, dict) or not isinstance(keys.get(name), str):
            continue
        try:
            keys[name] = filled_in(keys[name], environment, root)
        except IdentityError as error:
            walk.note((section, name), error.what, error.remedy)
            keys[name] = "unknown"


def _without_secrets(table: Any) -> Any:
    """The tables without the keys that say where a secret is."""
    if not isinstance(table, dict):
        return table
    ends = tuple(f"password{end}" for end in _SECRET_ENDS)
    return {key: _without_secrets(value) for key, value in table.items() if key not in ends}


def _effective(bare: Any, typed: Any) -> Any:
    """The written tables with the typed values of paths, which are absolute."""
    if isinstance(typed, Kind):
        typed = typed.config
    if isinstance(bare, dict):
        values = {key: typed.get(key) if isinstance(typed, dict) else getattr(typed, key, None) for key in bare}
        return {key: _effective(value, values[key]) for key, value in bare.items()}
    return str(typed) if isinstance(bare, str) and isinstance(typed, str) else bare
