"""`federation roster join|init|sign|show`: keys, cards and the roster that every member signs.

Each member joins (makes its own keys and a card), one of them collects the cards (init), each signs the same file, and
show says whether it is in force. Secret keys never leave the key folder; what is handed around is public.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, say
from clients.researcher import rendering
from federation.domain.roster import Member, Role, Roster
from federation.errors import Misuse, Refused, did_you_mean
from federation.identity import card, document, keys, roster_file

COLUMNS = ("member", "role", "fingerprint", "signed")
RosterOption = Annotated[Path, typer.Option("--roster", "-r", help="The roster file.", metavar="FILE")]
DEFAULT_ROSTER = Path("roster.json")

app = application(
    "Members, keys and signatures: a roster that everybody signed is the only trust there is.\n\n"
    "Each member:      federation roster join macao --keys keys/macao\n\n"
    "One of them:      federation roster init gba *.card.json\n\n"
    "Each member:      federation roster sign --keys keys/macao\n\n"
    "Anybody:          federation roster show\n\n"
    "Compare the roster's fingerprint with the other members over a line that you trust before you sign."
)


@app.command()
def join(
    name: Annotated[str, typer.Argument(help="Your name in the roster: lower-case letters, digits, hyphens.")],
    folder: Annotated[Path, typer.Option("--keys", "-k", help="Where your secret keys go: a new folder.")],
    role: Annotated[Role, typer.Option(help="What you are.")] = Role.JURISDICTION,
    out: Annotated[Path | None, typer.Option("--card", help="Where your public card goes.", metavar="FILE")] = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Make your own keys, and a card with the public part for whoever convenes.

    Example: federation roster join macao --keys keys/macao
    """
    path = out or Path(f"{name}.card.json")
    if path.exists():
        raise Misuse(f"{path} exists already", hint="name another file with --card")
    me = keys.create(folder, name, role)
    document.write(path, me.card(), replace=False)
    fingerprint = card.fingerprint(me.member)
    say(f"secret keys are in {folder}: keep a backup, hand them to nobody")
    return answer(
        {"name": me.name, "role": me.role.value, "fingerprint": fingerprint, "keys": str(folder), "card": str(path)},
        text=f"card         {path}\nfingerprint  {fingerprint}\n"
        f"next         give the card to whoever convenes, and tell the fingerprint over another line",
        output=output,
    )


@app.command()
def init(
    federation: Annotated[str, typer.Argument(help="The federation's name.")],
    cards: Annotated[list[Path] | None, typer.Argument(help="The members' cards.", metavar="CARD...")] = None,
    roster: RosterOption = DEFAULT_ROSTER,
    after: Annotated[
        Path | None, typer.Option(help="The roster in force that this one succeeds; its members stay.", metavar="FILE")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A member of --after who leaves.")] = None,
    output: OutputOption = Format.TABLE,
) -> int:
    """Collect the cards into a draft, which nobody has signed yet.

    Example: federation roster init gba relay.card.json guangdong.card.json hongkong.card.json macao.card.json
    """
    earlier = None if after is None else roster_file.in_force(roster_file.load(after))
    members = {member.name: member for member in earlier.members} if earlier else {}
    for name in without or ():
        if members.pop(name, None) is None:
            raise Misuse(f"{name[:80]!r} is not a member of the earlier roster", hint=did_you_mean(name, members))
    given = [_card(path) for path in cards or ()]
    added = [member.name for member in given]
    members = {name: member for name, member in members.items() if name not in added}
    draft = roster_file.convened(federation, [*members.values(), *given], after=earlier)
    roster_file.save(roster, draft, replace_file=False)
    return _told(draft, roster, output)


@app.command()
def sign(
    roster: RosterOption = DEFAULT_ROSTER,
    folder: Annotated[Path | None, typer.Option("--keys", "-k", help="Your key folder.")] = None,
    copies: Annotated[
        list[Path] | None, typer.Option("--with", help="Take over the signatures of another copy.", metavar="FILE")
    ] = None,
    fingerprint: Annotated[
        str, typer.Option(help="Sign only if the roster has this fingerprint, as the others told you.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Sign without being asked: you have compared.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Add your signature to the file, after you have seen who is in it.

    Example: federation roster sign --keys keys/macao --fingerprint "04a1 77c2 ..."
    """
    if folder is None and not copies:
        raise Misuse("nothing to sign with", hint="--keys FOLDER signs, --with FILE takes over signatures")
    changed = roster_file.load(roster)
    for copy in copies or ():
        changed = roster_file.merged(changed, roster_file.load(copy))
    if folder is not None:
        me = keys.load(folder)
        keys.check_joined(me, changed)
        _compare(changed, fingerprint, asked=not yes)
        changed = roster_file.signed(changed, me)
    roster_file.save(roster, changed)
    return _told(changed, roster, output)


@app.command()
def show(roster: RosterOption = DEFAULT_ROSTER, output: OutputOption = Format.TABLE) -> int:
    """Show members, roles, fingerprints and signatures, whether the roster is in force, and what comes next.

    Example: federation roster show --roster roster.json
    """
    return _told(roster_file.load(roster), roster, output)


def _card(path: Path) -> Member:
    what = f"the card {path}"
    return card.decoded(document.read(path, what=what, limit_bytes=card.LARGEST_BYTES), what)


def _compare(roster: Roster, fingerprint: str, *, asked: bool) -> None:
    """Let a person, or the fingerprint that one brought, decide whether this is the roster to sign."""
    expected = roster_file.fingerprint(roster)
    if fingerprint:
        if "".join(fingerprint.split()).lower() != expected.replace(" ", ""):
            raise Refused(
                f"this roster's fingerprint is {expected}, not the one that you were told",
                rule="fingerprint",
                hint="do not sign; ask the others which file they have",
            )
        return
    if not asked:
        return
    say(_table(roster))
    if not sys.stdin.isatty():
        raise Misuse("nobody is there to be asked", hint="give --fingerprint, or --yes if you have compared it")
    if not typer.confirm(f"Do all members tell you {expected}? Sign?", err=True):
        raise typer.Abort


def _rows(roster: Roster) -> list[tuple[rendering.Cell, ...]]:
    lacking = roster_file.unsigned_by(roster)
    return [(m.name, m.role.value, card.fingerprint(m), m.name not in lacking) for m in roster.members]


def _title(roster: Roster) -> str:
    return f"{roster.federation}, version {roster.version}, fingerprint {roster_file.fingerprint(roster)}"


def _table(roster: Roster) -> str:
    return rendering.text(COLUMNS, _rows(roster), title=_title(roster))


def _told(roster: Roster, path: Path, output: Format) -> int:
    """Answer with the roster as it is now, and the next step."""
    try:
        roster_file.in_force(roster)
    except Refused as fault:
        in_force, state, step = False, fault.message, fault.hint
    else:
        in_force, state, step = True, "in force", f"give {path} to every member, then `federation coordinator start`"
    notes = [state, f"next: {step}"]
    rows = _rows(roster)
    members: list[Plain] = [
        {"name": name, "role": role, "fingerprint": fingerprint, "signed": signed}
        for name, role, fingerprint, signed in rows
    ]
    data: Plain = {
        "federation": roster.federation,
        "version": roster.version,
        "fingerprint": roster_file.fingerprint(roster),
        "in_force": in_force,
        "unsigned_by": list(roster_file.unsigned_by(roster)),
        "members": members,
        "next": step,
    }
    return answer(
        data,
        text=rendering.text(COLUMNS, rows, title=_title(roster), notes=notes),
        shown=lambda: rendering.for_terminal(COLUMNS, rows, title=_title(roster), notes=notes),
        output=output,
    )
