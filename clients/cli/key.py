"""`federation key ceremony|approve|decline|status|list`: joint keys, for those who hold them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.cli.options import OutputOption, ProfileOption, application
from clients.cli.output import Format, Plain, answer, say
from federation.errors import JobFailed, Misuse, did_you_mean

if TYPE_CHECKING:
    from clients.cli.key_view import Seen
    from clients.jurisdiction.config import IdentityConfig

POLL_S = 0.25  # of our own daemon's control socket; nothing on the network polls
LONGEST_MINUTES = 7 * 24 * 60

app = application(
    "Joint keys: sums under one are encrypted, and only all of its holders together can open them. Nobody has the key; "
    "each holder's daemon has a share, which never leaves it.\n\n"
    "\b\n"
    "  federation key ceremony gd.toml    propose a key to all jurisdictions, and make it\n"
    "  federation key approve macao.toml  let our daemon take part; without it, no key\n"
    "  federation key status gd.toml      how far it is: tries, and who is waited for\n"
    "  federation key list gd.toml        keys that we have a share of, and when they expire\n\n"
    "FILE is the TOML file of a jurisdiction whose daemon runs: `federation jurisdiction start FILE`. The daemons make "
    "the key between them, end to end; the coordinator only passes sealed boxes on. A daemon that is stopped or killed "
    "goes on where it was. After 90 days a key expires and its shares are erased: make the next one before."
)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The jurisdiction's one TOML file.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Which ceremony, if there are several: how it begins.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: you have read what it will cost.")]
FollowOption = Annotated[bool, typer.Option("--follow/--no-follow", "-f", help="Stay until the key is there.")]


@app.command()
def ceremony(
    file: FileArgument,
    bits: Annotated[int, typer.Option(help="Length of the modulus: 2048, 3072 or 4096.")] = 3072,
    holders: Annotated[
        str, typer.Option(help="Who holds a share, with commas; all jurisdictions of the roster unless told.")
    ] = "",
    minutes: Annotated[
        int, typer.Option("--deadline", min=1, max=LONGEST_MINUTES, help="Minutes until it is given up.")
    ] = 24 * 60,
    yes: YesOption = False,
    follow: FollowOption = True,
    output: OutputOption = Format.TABLE,
) -> int:
    """Propose a joint key, approve it here, and make it once the other operators have approved.

    Example: federation key ceremony gd.toml --bits 3072 --holders guangdong,hongkong,macao
    """
    mine = _identity(file)
    names = _holders(mine, holders)
    _agreed(bits, names, asked=not yes)
    found = _told(mine, "key_propose", {"holders": names, "bits": bits, "lasting_s": 60 * minutes})
    others = ", ".join(name for name in names if name != found["name"])
    say(f"proposed as {str(found['ceremony'])[:8]}; now the operators of {others}: federation key approve FILE")
    return _followed(mine, str(found["ceremony"]), follow=follow, output=output)


@app.command()
def approve(
    file: FileArgument,
    which: IdArgument = "",
    yes: YesOption = False,
    follow: FollowOption = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Let our daemon make a key that another jurisdiction proposed, after you have seen for whom and at what cost.

    Example: federation key approve macao.toml
    """
    mine = _identity(file)
    waiting = [one for one in _ceremonies(mine) if one.state == "proposed" and one.id.startswith(which.lower())]
    if len(waiting) != 1:
        listed = ", ".join(one.id[:8] for one in waiting)
        raise Misuse(
            f"{len(waiting)} proposals wait: {listed}" if waiting else "no such proposal waits for an approval here",
            hint="name one by how it begins" if waiting else f"federation key status {file}",
        )
    say(f"{waiting[0].told['proposer']} proposes:")
    _agreed(int(waiting[0].told["bits"]), list(waiting[0].told["holders"]), asked=not yes)
    _told(mine, "key_approve", {"ceremony": waiting[0].id})
    return _followed(mine, waiting[0].id, follow=follow, output=output)


@app.command()
def decline(file: FileArgument, which: IdArgument = "", output: OutputOption = Format.TABLE) -> int:
    """End a ceremony that is proposed or under way, for all its holders; the key that was to be is lost.

    Example: federation key decline macao.toml 3f2a
    """
    found = _told(_identity(file), "key_decline", {"ceremony": which})
    text = f"ceremony {str(found['ceremony'])[:8]} has ended: no key comes of it"
    return answer({"ceremony": str(found["ceremony"])}, text=text, output=output)


@app.command()
def status(
    file: FileArgument,
    which: IdArgument = "",
    follow: FollowOption = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Show the ceremonies of our daemon: who has approved, tries so far, mean and p90, who is waited for.

    Example: federation key status gd.toml --follow
    """
    from clients.cli import key_view as view

    mine = _identity(file)
    found = [one for one in _ceremonies(mine) if one.id.startswith(which.lower())]
    if follow and found:
        return _followed(mine, found[-1].id, follow=True, output=output)
    text = "\n".join(one.line for one in found) or f"no ceremony; federation key ceremony {file} proposes one"
    return answer([view.as_plain(one) for one in found], text=text, output=output)


@app.command("list")
def list_keys(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE.toml]", help="A jurisdiction's file: the keys that it has a share of."),
    ] = None,
    profile: ProfileOption = "",
    output: OutputOption = Format.TABLE,
) -> int:
    """List joint keys: those our daemon has a share of, or with a researcher's profile all that the coordinator has.

    Example: federation key list gd.toml
    """
    from clients.cli import key_view as view
    from clients.researcher import rendering

    keys = _held(file) if file is not None else _served(profile)
    now_ms = time.time_ns() // 1_000_000
    rows = [view.key_row(key, now_ms) for key in keys]
    data: list[Plain] = [dict(key) for key in keys]
    text = rendering.text(view.KEY_COLUMNS, rows) if rows else "no joint key; federation key ceremony FILE makes one"
    shown = (lambda: rendering.for_terminal(view.KEY_COLUMNS, rows)) if rows else None
    return answer(data, text=text, shown=shown, output=output)


# --- what they share -------------------------------------------------------------------------------------------------


def _identity(file: Path) -> IdentityConfig:
    from clients.jurisdiction.config import load

    return load(file).jurisdiction


def _told(mine: IdentityConfig, command: str, arguments: dict[str, object] | None = None) -> dict[str, Any]:
    """Return what our daemon answers."""
    from federation.identity import control

    return control.ask(mine.state, command, arguments, wait_s=30)  # a step of a ceremony comes first, if one goes on


def _ceremonies(mine: IdentityConfig) -> list[Seen]:
    from clients.cli.key_view import Seen

    found = _told(mine, "keys")
    if found["development"]:
        say("DEVELOPMENT KEYS ARE PERMITTED HERE (development_keys = true): remove that line before real data come")
    return [Seen(one) for one in found["ceremonies"]]


def _holders(mine: IdentityConfig, given: str) -> list[str]:
    from federation.domain.roster import Role
    from federation.identity import roster_file

    known = [member.name for member in roster_file.load(mine.roster).with_role(Role.JURISDICTION)]
    names = sorted({name.strip() for name in given.split(",")} if given else known)
    for name in names:
        if name not in known:
            raise Misuse(f"the roster has no jurisdiction {name[:80]!r}", hint=did_you_mean(name, known))
    return names


def _agreed(bits: int, names: list[str], *, asked: bool) -> None:
    """Say what it will cost, and let a person decide."""
    from clients.cli import key_view as view
    from federation.protocols.key_ceremony.estimate import estimate_of
    from federation.protocols.key_ceremony.terms import BITS_STEP, LEAST_BITS, MOST_BITS, MOST_HOLDERS, Ceremony
    from federation.wire.certificates import LEAST_HOLDERS

    if len(names) < LEAST_HOLDERS:
        raise Misuse(f"a key has at least {LEAST_HOLDERS} holders", hint="with two, each reads the other's number")
    try:
        terms = Ceremony.standard(id=bytes(32), holders=tuple(names), bits=bits)
    except Misuse:
        hint = f"{LEAST_BITS} to {MOST_BITS} bits, a multiple of {BITS_STEP}, and at most {MOST_HOLDERS} holders"
        raise Misuse(f"there are no keys of {bits} bits for {len(names)} holders", hint=hint) from None
    say(view.cost(estimate_of(terms), bits, names))
    if bits < view.PRODUCTION_BITS:
        say(view.development(bits))
    if not asked:
        return
    if not sys.stdin.isatty():
        raise Misuse("nobody is there to be asked", hint="give --yes once you have read what it will cost")
    if not typer.confirm("Make this key?", err=True):
        raise typer.Abort


def _followed(mine: IdentityConfig, ceremony_id: str, *, follow: bool, output: Format) -> int:
    """Show a ceremony until it ends, if asked, and answer with where it stands."""
    from clients.cli import key_view as view

    if follow:
        say("Ctrl-C leaves; the daemons go on")
    with view.Following(output) as following:
        while True:
            seen = next((one for one in _quietly(mine) if one.id == ceremony_id), None)
            if seen is None:
                raise JobFailed("the daemon does not know this ceremony any more", hint="federation key list FILE")
            if follow:
                following.show(seen)
            if seen.ended or not follow:
                break
            time.sleep(POLL_S)
    if seen.state == "failed":
        raise JobFailed(f"no key: {seen.told['why']}", hint="mend that, and propose it again: federation key ceremony")
    text = view.outcome(seen) if seen.ended else seen.line
    return answer(view.as_plain(seen), text=text, output=output)


def _quietly(mine: IdentityConfig) -> list[Seen]:
    """As `_ceremonies`, many times, also while the daemon starts again."""
    from clients.cli.key_view import Seen
    from federation.errors import Unreachable

    until = time.monotonic() + 60
    while True:
        try:
            return [Seen(one) for one in _told(mine, "keys")["ceremonies"]]
        except Unreachable:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)


def _held(file: Path) -> list[dict[str, Any]]:
    mine = _identity(file)
    _ceremonies(mine)  # says loudly if development keys are permitted
    return list(_told(mine, "keys")["keys"])


def _served(profile: str) -> list[dict[str, Any]]:
    from clients.researcher import session

    with session.connect(profile) as connected:
        return [
            {
                "key": one.digest.hex(),
                "holders": list(one.joint.holders),
                "bits": one.joint.public.bits,
                "made_ms": one.made_ms,
                "expires_ms": one.expires_ms,
                "transcript": one.transcript.hex(),
            }
            for one in connected.joint_keys()
        ]
