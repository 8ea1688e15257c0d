"""A bundle as operators hand it on: an author's folder, the one document that it is packed into, the signatures on it.

A bundle is written as a folder of two files (`model.py`, `bundle.toml`) and packed into one document, which goes from
operator to operator; each of them reads it and signs its hash with the jurisdiction's identity key. Nothing here runs
it. Refused: anything else in the folder, a document that is not spelled as `encoded` spells it, two signatures of one
member, and fewer valid ones than REVIEWERS (rule "bundle").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from federation.crypto import signing
from federation.domain.job import Value, digest
from federation.domain.parameters import read
from federation.domain.roster import Role, Roster
from federation.errors import Misuse, Refused
from federation.identity import certificate, document, toml_file
from federation.training import bundle
from federation.training.bundle import LARGEST_SOURCE, Manifest, Settings
from federation.wire.envelope import Signer

SCHEMA: Final = bundle.LABEL
SIGNED: Final = "federation/bundle/signature/v1"  # what an operator's signature means
SOURCE, CONFIG = "model.py", "bundle.toml"
REVIEWERS: Final = 2  # jurisdictions whose operators have signed
MOST_SIGNATURES: Final = 1024
LARGEST_BYTES: Final = 8 * LARGEST_SOURCE
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A model's code with what it says about itself and who has signed it.

    Attributes:
        manifest: public; a job carries it.
        source: one Python file, UTF-8. It defines `module(config, inputs)`, which returns a torch module.
        settings: sorted pairs of what `module` finds in `config`.
        signatures: sorted (member, Ed25519 signature of the hash), valid or not; see `signers`.
    """

    manifest: Manifest
    source: bytes
    settings: Settings = ()
    signatures: tuple[tuple[str, bytes], ...] = ()

    def __post_init__(self) -> None:
        if bundle.code_hash(self.source, self.settings) != self.manifest.code:
            raise Refused(
                f"bundle {self.manifest.name}: its source or its settings are not those of its manifest",
                rule="bundle",
                hint="it was altered; ask whoever packed it for the file again",
            )

    @property
    def title(self) -> str:
        """Name, version and the beginning of its hash, for people."""
        return f"{self.manifest.name} version {self.manifest.version} ({self.manifest.digest.hex()[:12]})"


# --- the author's folder ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    numbers: int
    task: str
    levels: tuple[int, ...] = ()
    outputs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensor:
    name: str
    shape: tuple[int, ...]
    part: str
    fan_in: int = 0
    fill: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    name: str
    version: int


def packed(folder: Path) -> Bundle:
    """Return the unsigned bundle of an author's folder; nothing in it is run.

    Raises:
        Misuse: another file lies there, one lacks, or `bundle.toml` does not say what it must.
    """
    try:
        found = sorted(item.name for item in folder.iterdir())
    except OSError as fault:
        raise Misuse(f"cannot read {folder}: {fault.strerror}", hint="name the folder of the bundle") from None
    if found != sorted((SOURCE, CONFIG)):
        other = next((name for name in found if name not in (SOURCE, CONFIG)), "")
        what = f"{other[:80]!r} lies there too" if other else "one of them lacks"
        raise Misuse(f"a bundle is a folder of {SOURCE} and {CONFIG}, and nothing else: {what}")
    source = document.read(folder / SOURCE, what=f"the file {folder / SOURCE}", limit_bytes=LARGEST_SOURCE)
    where = str(folder / CONFIG)
    tables = toml_file.read(folder / CONFIG, hint="docs/bundles.md shows one")
    inputs = _made(_Inputs, tables.pop("inputs", None), f"[inputs] of {where}")
    settings = tables.pop("config", {})
    if not isinstance(settings, Mapping) or not all(_is_setting(_plain(value)) for value in settings.values()):
        raise Misuse(f"[config] of {where} holds numbers, texts, true or false, and lists of them")
    kept = bundle.checked_settings(tuple((str(name), _setting(value)) for name, value in settings.items()))
    rows = tables.pop("tensor", None)
    if not isinstance(rows, list):
        raise Misuse(f"{where} lists every tensor of the module: [[tensor]]")
    tensors = [_made(_Tensor, row, f"[[tensor]] {index} of {where}") for index, row in enumerate(rows, 1)]
    head = _made(_Head, tables, where)
    manifest = Manifest(
        name=head.name,
        version=head.version,
        code=bundle.code_hash(source, kept),
        numbers=inputs.numbers,
        levels=inputs.levels,
        outputs=inputs.outputs,
        task=inputs.task,
        tensors=tuple(bundle.tensor_row(one.name, one.part, one.fan_in, float(one.fill), one.shape) for one in tensors),
    )
    return Bundle(manifest=manifest, source=source, settings=kept)


def _made(kind: type[T], table: object, what: str) -> T:
    if not isinstance(table, Mapping):
        raise Misuse(f"{what} is not a table", hint="docs/bundles.md shows one")
    return read(kind, tuple((str(name), _plain(value)) for name, value in table.items()), what)


def _plain(value: object) -> Value:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return tuple(map(_plain, value))
    raise Misuse("a bundle's configuration holds numbers, texts, true or false, and lists of them")


def _is_setting(value: Value) -> bool:
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, bool | int | float | str) for item in items)


def _setting(value: object) -> bundle.Single | tuple[bundle.Single, ...]:
    single = bool | int | float | str
    if isinstance(value, list | tuple):
        return tuple(item for item in value if isinstance(item, single))
    return value if isinstance(value, single) else ""  # `_is_setting` has looked


# --- the document that is handed on -----------------------------------------------------------------------------------


def encoded(found: Bundle) -> bytes:
    """Return the bundle as a JSON document; equal bundles give equal bytes."""
    manifest = dict(found.manifest.config)
    return document.encoded(
        {
            "schema": SCHEMA,
            "hash": found.manifest.digest.hex(),
            "manifest": manifest,
            "settings": dict(found.settings),
            "source": found.source.decode("utf-8"),
            "signatures": [
                {"member": name, "signature": document.base64_text(signature)} for name, signature in found.signatures
            ],
        }
    )


def decoded(content: bytes, what: str) -> Bundle:
    """Return the bundle of a document; its signatures may be anybody's.

    Raises:
        Misuse: not such a document.
        Refused: rule "bundle": it was altered.
    """
    top = document.fields(
        document.decoded(content, what=what, schema=SCHEMA, limit_bytes=LARGEST_BYTES),
        what,
        ("schema", "hash", "manifest", "settings", "source", "signatures"),
    )
    settings, source = top["settings"], top["source"]
    if not isinstance(settings, dict) or not isinstance(source, str):
        raise Misuse(f"{what} has settings or a source of another type")
    signatures = [
        _signature(value, f"signature {index} of {what}")
        for index, value in enumerate(
            document.items(top["signatures"], f"the signatures of {what}", MOST_SIGNATURES), 1
        )
    ]
    if len({name for name, _ in signatures}) != len(signatures):
        raise Refused(f"{what} has two signatures of one member", rule="bundle")
    if not all(_is_setting(_plain(value)) for value in settings.values()):
        raise Misuse(f"the settings of {what} are numbers, texts, true or false, and lists of them")
    try:
        found = Bundle(
            manifest=_made(Manifest, top["manifest"], f"the manifest of {what}"),
            source=source.encode("utf-8"),
            settings=tuple((name, _setting(value)) for name, value in settings.items()),
            signatures=tuple(signatures),
        )
    except UnicodeEncodeError:
        raise Misuse(f"the source of {what} is not text") from None
    if encoded(found) != content:
        raise Refused(
            f"{what} is not spelled as a bundle is: it was altered after it was packed",
            rule="bundle",
            hint="ask whoever packed it for the file again",
        )
    return found


def load(path: Path) -> Bundle:
    """Return the bundle in a file. Raises as `decoded`, and Misuse if it cannot be read."""
    what = f"the bundle {path}"
    return decoded(document.read(path, what=what, limit_bytes=LARGEST_BYTES), what)


def save(path: Path, found: Bundle, *, replace_file: bool = True) -> None:
    """Write the bundle atomically. Raises Misuse (it exists and may not be replaced) or Unavailable."""
    document.write(path, encoded(found), replace=replace_file)


def _signature(value: object, what: str) -> tuple[str, bytes]:
    given = document.fields(value, what, ("member", "signature"))
    name = document.text(given["member"], f"the member of {what}", certificate.NAME)
    return name, document.binary(given["signature"], what, 64, 64)


# --- signatures -------------------------------------------------------------------------------------------------------


def signed(found: Bundle, me: Signer, roster: Roster) -> Bundle:
    """Return the bundle with the signature of this operator's jurisdiction, in place of an earlier one.

    Raises:
        Misuse: not a jurisdiction of the roster.
    """
    if roster.member(me.member.name) != me.member or me.member.role is not Role.JURISDICTION:
        raise Misuse(f"{me.member.name} is not a jurisdiction of this roster: bundles are signed by those whose rows")
    others = tuple(item for item in found.signatures if item[0] != me.member.name)
    own = (me.member.name, me.sign(SIGNED, _named(roster, found)))
    return replace(found, signatures=tuple(sorted((*others, own))))


def merged(found: Bundle, copy: Bundle) -> Bundle:
    """Return `found` with the signatures of a copy of it that it lacks. Raises Refused for another bundle."""
    if copy.manifest.digest != found.manifest.digest:
        raise Refused("the copies are of two bundles", rule="bundle", hint="everybody signs the same file")
    together = {**dict(copy.signatures), **dict(found.signatures)}
    return replace(found, signatures=tuple(sorted(together.items())))


def signers(found: Bundle, roster: Roster) -> tuple[str, ...]:
    """Return the jurisdictions of the roster, as it is now, whose signature of this bundle is valid; in name order."""
    jurisdictions = {member.name: member for member in roster.with_role(Role.JURISDICTION)}
    body = _named(roster, found)
    return tuple(
        sorted(
            {
                name
                for name, signature in found.signatures
                if name in jurisdictions and signing.verify(jurisdictions[name].identity_key, SIGNED, body, signature)
            }
        )
    )


def check_reviewed(found: Bundle, roster: Roster) -> tuple[str, ...]:
    """Return `signers` if they are enough.

    Raises:
        Refused: rule "bundle", naming who has signed and whose signature does not count.
    """
    counted = signers(found, roster)
    if len(counted) < REVIEWERS:
        vain = [name for name, _ in found.signatures if name not in counted]
        raise Refused(
            f"bundle {found.title} has valid signatures of {', '.join(counted) or 'nobody'}; it needs {REVIEWERS} "
            f"different jurisdictions of the roster" + (f" (not counted: {', '.join(vain[:5])})" if vain else ""),
            rule="bundle",
            hint="operators who have read it run `federation bundle sign`",
        )
    return counted


def _named(roster: Roster, found: Bundle) -> bytes:
    """What is signed: the federation and the hash. The keys are looked up in the roster of the day."""
    return digest(SIGNED, roster.federation.encode(), found.manifest.digest)
