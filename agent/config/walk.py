"""Plain TOML values → typed values, with every mistake noted, not only the first.

A key whose value is wrong holds `msgspec.UNSET`, so that what is around it is still built and checked; such a file is never given out.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, inspect

from agent.config import kinds
from agent.config.file import Kind
from agent.config.redact import redacted, without_password
from agent.config.secret import SecretError, read_secret
from agent.values import NAME_PATTERN, TIME_OF_DAY_PATTERN, RelativePath, Secret, convert

Key = tuple[str | int, ...]

_PATTERNS = {
    NAME_PATTERN: "a name of a-z, 0-9, _ and -, at most 63 long, that begins with a letter or a digit",
    TIME_OF_DAY_PATTERN: "a time of the day, as 06:30 or 22:00",
    r"^[0-9a-f]{64}$": "64 digits of 0-9 and a-f",
    r"^rtsps?://": "an address that begins with rtsp:// (or rtsps://)",
    r"^mqtts?://": "an address that begins with mqtts:// (or mqtt://)",
    r"^(m1|h1|d1|s[1-9][0-9]{0,4})$": "m1, h1, d1, or s and a number of seconds, as s10",
}
# Addresses of a camera that are neither a path nor `scheme://`.
_PIPELINES = ("gstreamer:", "jetson-csi:")
_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a text"), (dict, "a table"), (list, "a list"),
)  # fmt: skip


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A mistake, before its line is looked up. key: the path of names to it; the last one may be missing from the file."""

    key: Key
    what: str
    remedy: str


class Walk:
    """findings: what was wrong so far. folder: of the file that set a key. environment: for `password_env`."""

    def __init__(self, folder: Callable[[Key], Path], environment: Mapping[str, str]) -> None:
        self.findings: list[Finding] = []
        self._folder = folder
        self._environment = environment

    def note(self, key: Key, what: str, remedy: str) -> Any:
        self.findings.append(Finding(key=key, what=what, remedy=remedy))
        return UNSET

    def take(self, kind: inspect.Type, value: Any, key: Key) -> Any:
        """The value as `kind` wants it; UNSET when it cannot be, and a finding says why."""
        if isinstance(kind, inspect.Metadata):
            extra = kind.extra or {}
            return self._of_kind(extra["room"], value, key) if "room" in extra else self.take(kind.type, value, key)
        if isinstance(kind, inspect.UnionType):
            return self._union(kind, value, key)
        if isinstance(kind, inspect.StructType):
            return self._struct(kind, value, key)
        if isinstance(kind, inspect.DictType):
            return self._dict(kind, value, key)
        if isinstance(kind, inspect.VarTupleType):
            return self._items(value, key, lambda _: kind.item_type, kind.min_length or 0, kind.max_length)
        if isinstance(kind, inspect.TupleType):
            count = len(kind.item_types)
            return self._items(value, key, lambda index: kind.item_types[index], count, count)
        if isinstance(kind, inspect.CustomType):
            return self._custom(kind.cls, value, key)
        return self._leaf(kind, value, key)

    def _union(self, kind: inspect.UnionType, value: Any, key: Key) -> Any:
        options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
        if len(options) == 1:
            return self.take(options[0], value, key)
        remedies = []
        for option in options:
            taken = (trial := Walk(self._folder, self._environment)).take(option, value, key)
            if not trial.findings:
                return taken
            remedies.append(trial.findings[0].remedy)
        return self.note(key, f"cannot be {shown(value)}", " Or: ".join(remedies))

    def _struct(self, kind: inspect.StructType, value: Any, key: Key, besides: tuple[str, ...] = ()) -> Any:
        if not isinstance(value, dict):
            return self._wrong_type("a table", value, key)
        fields = {field.encode_name: field for field in kind.fields}
        secrets = {name for name, field in fields.items() if _is_secret(field.type)}
        for name in value:
            if name in secrets:
                remedy = f"Write it to a file and name that in {name}_file."
                self.note((*key, name), "a secret does not stand in the config file", remedy)
            elif name not in fields and name not in besides:
                remedy = did_you_mean(name, [*(fields.keys() - secrets), *besides], "Keys here")
                self.note((*key, name), "is no key of this table", remedy)
        built: dict[str, Any] = {}
        for name, field in fields.items():
            if name in secrets:
                built[name] = self._secret(value, key, name)
                if built[name] is UNSET:  # who took the variable's name for the secret itself must not see it in a log
                    built[f"{name}_env"] = UNSET
            elif name in value:
                built[name] = self.take(field.type, value[name], (*key, name))
            elif field.required:
                built[name] = self.note((*key, name), "is missing", f"Add it: {_description(field.type)}")
        return kind.cls(**{fields[name].name if name in fields else name: value for name, value in built.items()})

    def _of_kind(self, room: str, value: Any, key: Key) -> Any:
        if not isinstance(value, dict):
            return self._wrong_type("a table", value, key)
        known = kinds.kinds(room)
        if (name := value.get("kind")) is None:
            return self.note((*key, "kind"), "is missing", f"Add it, one of {_listed(known)}.")
        if not isinstance(name, str) or name not in known:
            return self.note((*key, "kind"), f"{shown(name)} is no kind", did_you_mean(str(name), known, "Kinds"))
        struct = inspect.type_info(kinds.load(room, name).Config)
        assert isinstance(struct, inspect.StructType)
        taken = self._struct(struct, value, key, besides=("kind",))
        url = getattr(taken, "url", UNSET)
        if room == "sources" and isinstance(url, str):
            taken = msgspec.structs.replace(taken, url=self._place(url, (*key, "url")))
        return Kind(kind=name, config=taken)

    def _place(self, url: str, key: Key) -> Any:
        """A URL as it is, without a password; a path from the folder of the file that names it."""
        if "://" not in url and not url.startswith(_PIPELINES):
            return str(absolute(url, self._folder(key)))
        if url.startswith("gstreamer:") and redacted(bare := url.replace("={password}", "")) != bare:
            return self.note(
                key,
                "holds a password",
                "Write {password} in its place: it comes from the file that password_file names.",
            )
        if without_password(url) != url:
            return self.note(
                key,
                "holds a password",
                "Take it out of the address and write it to a file that password_file names (with user).",
            )
        return url

    def _dict(self, kind: inspect.DictType, value: Any, key: Key) -> Any:
        if not isinstance(value, dict):
            return self._wrong_type("a table", value, key)
        if len(value) < (kind.min_length or 0):
            return self.note(key, "is empty", "At least one is needed.")
        for name in value:
            self.take(kind.key_type, name, (*key, name))
        return {name: self.take(kind.value_type, item, (*key, name)) for name, item in value.items()}

    def _items(self, value: Any, key: Key, kind: Callable[[int], inspect.Type], least: int, most: int | None) -> Any:
        if not isinstance(value, list):
            return self._wrong_type("a list", value, key)
        if len(value) < least or (most is not None and len(value) > most):
            amount = str(least) if least == most else f"at least {least}" if most is None else f"{least} to {most}"
            return self.note(key, f"has {len(value)} items", f"It takes {amount}.")
        return tuple(self.take(kind(index), item, (*key, index)) for index, item in enumerate(value))

    def _custom(self, kind: type, value: Any, key: Key) -> Any:
        try:
            converted = convert(kind, value)
        except ValueError as error:
            return self.note(
                key,
                redacted(str(error).partition(": ")[0]),
                f"{_first_upper(str(error).partition(': ')[2] or 'Write a path as text')}.",
            )
        return RelativePath(absolute(converted, self._folder(key))) if kind is RelativePath else converted

    def _leaf(self, kind: inspect.Type, value: Any, key: Key) -> Any:
        if isinstance(kind, inspect.LiteralType):
            if value in kind.values and any(type(value) is type(option) for option in kind.values):
                return value
            if isinstance(value, str) and all(isinstance(option, str) for option in kind.values):
                return self.note(
                    key, f"cannot be {shown(value)}", did_you_mean(value, map(str, kind.values), "It is one of")
                )
            must = "must be" if len(kind.values) == 1 else "is one of"
            return self.note(key, f"cannot be {shown(value)}", f"It {must} {_listed(kind.values)}.")
        if isinstance(kind, inspect.BoolType):
            return value if isinstance(value, bool) else self._wrong_type("true or false", value, key)
        if isinstance(kind, inspect.IntType):
            whole = isinstance(value, int) and not isinstance(value, bool)
            return self._in_range(kind, value, key) if whole else self._wrong_type("a whole number", value, key)
        if isinstance(kind, inspect.FloatType):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return self._in_range(kind, float(value), key) if number else self._wrong_type("a number", value, key)
        if isinstance(kind, inspect.StrType):
            return self._text(kind, value, key)
        raise NotImplementedError(kind)

    def _in_range(self, kind: inspect.IntType | inspect.FloatType, value: float, key: Key) -> Any:
        wrong = (
            not math.isfinite(value)
            or (kind.gt is not None and value <= kind.gt) or (kind.ge is not None and value < kind.ge)
            or (kind.lt is not None and value >= kind.lt) or (kind.le is not None and value > kind.le)
        )  # fmt: skip
        if not wrong:
            return value
        return self.note(key, f"{shown(value)} is out of range", f"It must be {bounds(kind) or 'a finite number'}.")

    def _text(self, kind: inspect.StrType, value: Any, key: Key) -> Any:
        if not isinstance(value, str):
            return self._wrong_type("a text", value, key)
        if kind.min_length and len(value) < kind.min_length:
            return self.note(key, "is empty", "Write a text.")
        if kind.pattern is not None and re.search(kind.pattern, value) is None:
            return self.note(
                key,
                f"{shown(value)} does not fit",
                f"It must be {_PATTERNS.get(kind.pattern, f'a text like {kind.pattern}')}.",
            )
        return value

    def _wrong_type(self, wanted: str, value: Any, key: Key) -> Any:
        found = next((text for kind, text in _TYPES if isinstance(value, kind)), "a date or time")
        found += "" if isinstance(value, dict | list) else f" ({shown(value)})"
        return self.note(key, f"is {found}", f"It must be {wanted}.")

    def _secret(self, table: dict[str, Any], key: Key, name: str) -> Any:
        file, variable = table.get(f"{name}_file"), table.get(f"{name}_env")
        if isinstance(file, str) and isinstance(variable, str):
            return self.note((*key, f"{name}_env"), f"stands beside {name}_file", "Keep one of the two.")
        if isinstance(file, str) or isinstance(variable, str):
            source = f"{name}_file" if isinstance(file, str) else f"{name}_env"
            place = absolute(file, self._folder((*key, source))) if isinstance(file, str) else None
            try:
                return read_secret(place, str(variable), self._environment)
            except SecretError as error:
                return self.note((*key, source), error.what, error.remedy)
        return None


def absolute(path: str, folder: Path) -> Path:
    """From that folder, if it is relative. Only leading `..` are worked out: those of a resolved folder are exact, links further in are not touched."""
    folder, parts = folder.resolve(), list(Path(path).parts)
    if Path(path).is_absolute():
        return Path(path)
    while parts and parts[0] == "..":
        folder = folder.parent
        parts.pop(0)
    return folder.joinpath(*parts)


def did_you_mean(name: str, known: Iterable[str], heading: str) -> str:
    """The nearest right name, or all of them."""
    import difflib  # only for mistakes

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"{heading}: {', '.join(names) or 'none'}."


def bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    """A number's range in words; empty when it has none."""
    limits = (("greater than", kind.gt), ("at least", kind.ge), ("less than", kind.lt), ("at most", kind.le))
    return " and ".join(
        f"{words} {limit:g}" if limit < 1e5 else f"{words} {limit:,}".replace(",", " ")
        for words, limit in limits
        if limit is not None
    )


def shown(value: Any) -> str:
    """A value as the file writes it; long texts are cut, passwords in addresses hidden."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return str(value)
    text = redacted(value)
    return f'"{text if len(text) <= 60 else text[:59] + "…"}"'


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(shown(value) for value in values)


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _description(kind: inspect.Type) -> str:
    schema = kind.extra_json_schema if isinstance(kind, inspect.Metadata) else None
    return str((schema or {}).get("description", "see the reference."))


def _is_secret(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _is_secret(kind.type)
    if isinstance(kind, inspect.UnionType):
        return any(_is_secret(option) for option in kind.types)
    return isinstance(kind, inspect.CustomType) and kind.cls is Secret
