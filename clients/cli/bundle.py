"""`federation bundle pack|show|sign|approve|list|withdraw`: models whose code operators have read, and let run here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, say
from federation.errors import FederationError, Misuse

if TYPE_CHECKING:
    from clients.jurisdiction.bundle_file import Bundle
    from clients.jurisdiction.bundles import Bundles
    from federation.domain.roster import Roster
    from federation.identity.keys import Credentials

ENDING = ".bundle"

app = application(
    "Model bundles: code for a training, reviewed by operators. It runs only in a sandbox, only where its own operator "
    "approved it, and only with the signatures of two jurisdictions. A job never carries code: it names the hash.\n\n"
    "\b\n"
    "  federation bundle pack my-net                      the author: one file of a folder\n"
    "  federation bundle show my-net.bundle               read it: what it is, and its source\n"
    "  federation bundle sign my-net.bundle gd.toml       an operator who has read it\n"
    "  federation bundle approve my-net.bundle hk.toml    let it run here\n"
    "  federation bundle list hk.toml                     what may run here, and whether there is a sandbox\n\n"
    "docs/bundles.md says what a folder holds, and what reviewers look for."
)
BundleArgument = Annotated[Path, typer.Argument(metavar=f"NAME{ENDING}", help="The packed bundle.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The jurisdiction's one TOML file.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: you have read the source.")]


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="model.py and bundle.toml, and nothing else.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Instead of FOLDER.bundle.")] = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Make one file of an author's folder; runs nothing of it and overwrites nothing.

    Example: federation bundle pack my-net
    """
    from clients.jurisdiction import bundle_file

    found, path = bundle_file.packed(folder), to or folder.resolve().with_suffix(ENDING)
    bundle_file.save(path, found, replace_file=False)
    step = f"give {path.name} to the operators; each reads it: federation bundle show {path.name}"
    return answer(_data(found), text=f"{path.name} is {found.title}\n{step}", output=output)


@app.command()
def show(file: BundleArgument, output: OutputOption = Format.TABLE) -> int:
    """Show what a bundle says about itself, who has signed it, and its source; runs nothing of it.

    Example: federation bundle show my-net.bundle
    """
    from clients.jurisdiction import bundle_file

    found = bundle_file.load(file)
    data = {**_data(found), "config": _manifest(found), "source": found.source.decode()}
    return answer(data, text=_told(found), output=output)


@app.command()
def sign(
    file: BundleArgument,
    mine: FileArgument,
    copies: Annotated[
        list[Path] | None, typer.Option("--with", metavar="FILE", help="Take over the signatures of another copy.")
    ] = None,
    yes: YesOption = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Add your jurisdiction's signature to the file: you have read the source, and others may rely on that.

    Example: federation bundle sign my-net.bundle gd.toml
    """
    from clients.jurisdiction import bundle_file

    found = bundle_file.load(file)
    for copy in copies or ():
        found = bundle_file.merged(found, bundle_file.load(copy))
    me, roster = _who(mine)
    _agreed(found, f"Have you read it, and does {me.name} sign it?", asked=not yes)
    found = bundle_file.signed(found, me, roster)
    bundle_file.save(file, found)
    counted = bundle_file.signers(found, roster)
    lacking = bundle_file.REVIEWERS - len(counted)
    step = "another jurisdiction signs it too" if lacking > 0 else f"federation bundle approve {file.name} FILE.toml"
    return answer(_data(found), text=f"{found.title}: signed by {', '.join(counted)}\nnext: {step}", output=output)


@app.command()
def approve(
    file: BundleArgument, mine: FileArgument, yes: YesOption = False, output: OutputOption = Format.TABLE
) -> int:
    """Let jobs run this bundle over your rows, in the sandbox; the daemon need not be stopped.

    Example: federation bundle approve my-net.bundle hk.toml
    """
    from clients.jurisdiction import bundle_file

    found = bundle_file.load(file)
    me, roster = _who(mine)
    counted = bundle_file.check_reviewed(found, roster)
    _agreed(found, f"Signed by {', '.join(counted)}. May it run over the rows of {me.name}?", asked=not yes)
    kept = _kept(mine)
    kept.approve(found)
    lines = [f"{found.title} may run at {me.name}; jobs name it", f"  {found.manifest.model}", _sandbox(kept)]
    return answer(_data(found), text="\n".join(line for line in lines if line), output=output)


@app.command("list")
def list_(mine: FileArgument, output: OutputOption = Format.TABLE) -> int:
    """List what you approved, whether it may run with the roster of today, and whether there is a sandbox.

    Example: federation bundle list hk.toml
    """
    kept = _kept(mine)
    rows: list[dict[str, Plain]] = []
    lines: list[str] = []
    for found in kept.all():
        try:
            kept.approved(found.manifest.digest)
            why = ""
        except FederationError as fault:
            why = fault.message
        rows.append({**_data(found), "runs": not why, "why": why})
        lines.append(f"{found.title}: {why or 'may run'}\n  {found.manifest.model}")
    sandbox = _sandbox(kept)
    text = "\n".join([*lines, sandbox]) if lines else "no bundle is approved here: federation bundle approve"
    return answer({"bundles": rows, "sandbox": sandbox}, text=text.rstrip(), output=output)


@app.command()
def withdraw(
    called: Annotated[str, typer.Argument(metavar="HASH", help="How its hash begins, eight digits at least.")],
    mine: FileArgument,
    output: OutputOption = Format.TABLE,
) -> int:
    """Take an approval back; a job that runs is refused its next round.

    Example: federation bundle withdraw 3f2a90c1 hk.toml
    """
    kept, begins = _kept(mine), called.lower().removeprefix("bundle:")
    matching = [one for one in kept.all() if len(begins) >= 8 and one.manifest.digest.hex().startswith(begins)]
    if len(matching) != 1:
        raise Misuse(f"{len(matching)} approved bundles begin so", hint=f"federation bundle list {mine}")
    kept.withdraw(matching[0].manifest.digest)
    return answer(_data(matching[0]), text=f"{matching[0].title} does not run here any more", output=output)


def _who(mine: Path) -> tuple[Credentials, Roster]:
    """Return who this operator signs for, and the roster in force."""
    from clients.jurisdiction import config
    from federation.identity import keys, roster_file

    found = config.load(mine).jurisdiction
    me, roster = keys.load(found.keys), roster_file.in_force(roster_file.load(found.roster))
    keys.check_joined(me, roster)
    return me, roster


def _kept(mine: Path) -> Bundles:
    from clients.jurisdiction import config
    from clients.jurisdiction.bundles import Bundles

    return Bundles(config.load(mine).jurisdiction.state, *_who(mine))


def _sandbox(kept: Bundles) -> str:
    """Return why nothing can run on this machine although it is approved, "" where it can."""
    from clients.jurisdiction.sandbox import Limits, Sandbox

    try:
        Sandbox(kept.state, Limits())
    except FederationError as fault:
        return f"{fault.message} ({fault.hint})"
    return ""


def _agreed(found: Bundle, question: str, *, asked: bool) -> None:
    if not asked:
        return
    say(_told(found))
    if not sys.stdin.isatty():
        raise Misuse("nobody is there to be asked", hint="--yes says that you have read the source")
    if not typer.confirm(question, err=True):
        raise typer.Abort


def _told(found: Bundle) -> str:
    """Return everything that a reviewer reads."""
    manifest, layout = found.manifest, found.manifest.layout
    signed = ", ".join(name for name, _ in found.signatures) or "nobody"
    lines = [
        found.title,
        f"  job: model = {manifest.model!r}",
        f"  reads {manifest.numbers} numbers and categories of {list(manifest.levels)} levels",
        f"  answers {manifest.outputs} number(s) a row: {manifest.task}",
        f"  {layout.size:,} parameters in {len(layout.tensors)} tensors",
        f"  carries signatures of {signed} (approve says which count)",
        *(f"  setting {name} = {value!r}" for name, value in found.settings),
        *(f"  tensor {one.name} {list(one.shape)} {one.part}" for one in layout.tensors),
        "source:",
        found.source.decode(),
    ]
    return "\n".join(lines)


def _data(found: Bundle) -> dict[str, Plain]:
    manifest = found.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "model": manifest.model,
        "parameters": manifest.layout.size,
        "signatures": [name for name, _ in found.signatures],
    }


def _manifest(found: Bundle) -> dict[str, Plain]:
    """Return what a job gives as `config`."""
    manifest = found.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "code": manifest.code,
        "numbers": manifest.numbers,
        "levels": manifest.levels,
        "outputs": manifest.outputs,
        "task": manifest.task,
        "tensors": manifest.tensors,
    }
