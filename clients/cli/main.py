"""The command `federation`: finds the verb, runs it, and turns whatever happens into one line and an exit code.

Nothing is imported before it is needed: `--version` and `--help` import no verb. It never shows a traceback, unless
FEDERATION_DEBUG=1 asks for one. Exit codes: DESIGN section 6.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from clients.cli.output import Format

INTERRUPTED: Final = 130


class Verb(NamedTuple):
    """One line of `federation --help`."""

    target: str  # "module:app", imported when the verb is asked for
    group: str
    summary: str
    example: str


FIRST, RESEARCH, OPERATE = "First minute", "Researchers", "Operators"
VERBS: Final[dict[str, Verb]] = {
    "demo": Verb("clients.cli.demo:app", FIRST, "two stories on real data, six jurisdictions on this machine", "demo"),
    "completion": Verb("clients.cli.completion:app", FIRST, "let the shell complete verbs", "completion bash"),
    "doctor": Verb("clients.cli.doctor.verb:app", FIRST, "what is wrong here, and how to mend it", "doctor gd.toml"),
    "version": Verb("clients.cli.version:app", FIRST, "what is installed", "version -o json"),
    "catalog": Verb(
        "clients.cli.catalog:app", RESEARCH, "what is published: data sets, columns, rules", "catalog show tb"
    ),
    "plan": Verb("clients.cli.plan:app", RESEARCH, "what a job would open, to whom; asks nobody", "plan job.toml"),
    "run": Verb("clients.cli.run:app", RESEARCH, "run a job and follow it", "run job.toml -o json"),
    "result": Verb(
        "clients.cli.result:app",
        RESEARCH,
        "fetch and check the result of a job handed in before",
        "result mean-age-7f3c",
    ),
    "verify": Verb(
        "clients.cli.verify:app",
        RESEARCH,
        "check from the signatures up what a job opened",
        "verify mean-age-7f3c --save mean.evidence",
    ),
    "get": Verb("clients.cli.jobs:get_app", RESEARCH, "list your jobs, the jurisdictions, the data sets", "get jobs"),
    "describe": Verb(
        "clients.cli.jobs:describe_app",
        RESEARCH,
        "one job: what was asked, where it stands, why it ended",
        "describe mean",
    ),
    "logs": Verb("clients.cli.jobs:logs_app", RESEARCH, "what happened to a job, and on until it ends", "logs -f mean"),
    "cancel": Verb("clients.cli.jobs:cancel_app", RESEARCH, "end a job of yours", "cancel mean-age-7f3c"),
    "roster": Verb("clients.cli.roster:app", OPERATE, "members, keys and signatures", "roster show"),
    "jurisdiction": Verb(
        "clients.cli.jurisdiction:app", OPERATE, "a jurisdiction's daemon", "jurisdiction start hk.toml"
    ),
    "coordinator": Verb("clients.cli.coordinator:app", OPERATE, "the relay", "coordinator start coordinator.toml"),
    "bundle": Verb("clients.cli.bundle:app", OPERATE, "models whose code you have read", "bundle list hk.toml"),
    "key": Verb("clients.cli.key:app", OPERATE, "joint keys that nobody has alone", "key ceremony hk.toml"),
}


@runtime_checkable
class UsageFault(Protocol):
    """What typer, in any version, raises for a wrong option or argument."""

    exit_code: int

    def format_message(self) -> str:
        """Return the sentence for people."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `federation` with these arguments, the process's own by default, and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    match arguments:
        case [] | ["-h" | "--help"] | ["help"]:
            sys.stdout.write(help_text() + "\n")
            return 0
        case ["-V" | "--version", *_]:
            sys.stdout.write(f"federation {installed_version()}\n")
            return 0
        case ["help", verb, *rest]:
            return _guarded(verb, [*rest, "--help"])
        case [verb, *rest]:
            return _guarded(verb, rest)
    return 2


def installed_version() -> str:
    """Return the version of this software."""
    from federation.version import VERSION

    return VERSION


def help_text() -> str:
    """Return what `federation --help` prints: the verbs in groups with an example each, and where to go next."""
    width = max(len(verb) for verb in VERBS)
    lines = [
        "federation: joint statistics across jurisdictions whose rows stay at home",
        "",
        "usage: federation VERB [options]",
    ]
    for group in (FIRST, RESEARCH, OPERATE):
        lines += ["", f"{group}:"]
        for name, verb in VERBS.items():
            if verb.group == group:
                lines += [f"  {name.ljust(width)}  {verb.summary}", f"  {' ' * width}  $ federation {verb.example}"]
    return "\n".join(
        [
            *lines,
            "",
            "Next steps:",
            "  federation VERB --help   the options of a verb",
            "  federation catalog ls    what you can ask about (needs a profile in ~/.federation/profiles.toml)",
            "  import federation as fed   the same in Python: fed.connect, fed.local",
            "",
            "Everywhere: -o table|json|jsonl (result on stdout, the rest on stderr), NO_COLOR, FEDERATION_HOME.",
            "Exit codes: 0 ok, 1 job failed, 2 usage, 3 refused, 4 timeout or quorum, 5 connection or identity,",
            "70 internal, 130 interrupted.",
        ]
    )


def _guarded(verb: str, arguments: Sequence[str]) -> int:
    """Run one verb; every ending is an exit code, and every failure one line."""
    from clients.cli.output import failed, failure
    from federation.errors import FederationError

    output = _asked_format(arguments)
    try:
        return _run(verb, arguments)
    except FederationError as error:
        _traceback_if_debugging()
        return failure(error, output=output)
    except KeyboardInterrupt:
        return failed("interrupted", "interrupted", exit_code=INTERRUPTED, output=output)
    except BrokenPipeError:
        # Whoever read our stdout has gone; the interpreter must not trip over the same pipe once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as fault:  # noqa: BLE001 - the last line of defence: no traceback that nobody asked for
        return _unexpected(fault, verb, output)


def _unexpected(fault: Exception, verb: str, output: Format) -> int:
    """Answer for what is not an error of ours: wrong options, a prompt that was left, a missing extra, a defect."""
    import typer

    from clients.cli.output import failed

    if isinstance(fault, UsageFault):
        hint = f"`federation {verb} --help` lists the options"
        return failed("misuse", fault.format_message(), hint=hint, exit_code=2, output=output)
    if isinstance(fault, typer.Abort):
        return failed("interrupted", "interrupted", exit_code=INTERRUPTED, output=output)
    _traceback_if_debugging()
    if isinstance(fault, ModuleNotFoundError) and (fault.name or "").split(".")[0] not in ("clients", "federation"):
        sentence = f"this needs the package {fault.name!r}, which is not installed"
        return failed("misuse", sentence, hint="README says which extra has it", exit_code=2, output=output)
    # The text of a foreign exception may hold a data value: its type is all that is shown.
    sentence = f"this software went wrong: {type(fault).__module__}.{type(fault).__qualname__}"
    hint = "FEDERATION_DEBUG=1 shows the traceback; please report it"
    return failed("internal", sentence, hint=hint, exit_code=70, output=output)


def _run(verb: str, arguments: Sequence[str]) -> int:
    from federation.errors import Misuse, did_you_mean

    if verb not in VERBS:
        hint = "options come after the verb" if verb.startswith("-") else did_you_mean(verb, VERBS)
        raise Misuse(f"there is no verb {verb!r}", hint=hint)
    import importlib

    from typer.core import TyperGroup
    from typer.main import get_command

    module, name = VERBS[verb].target.split(":")
    app = getattr(importlib.import_module(module), name)
    command = get_command(app)
    if not arguments and isinstance(command, TyperGroup) and not command.invoke_without_command:
        arguments = ["--help"]  # a group alone teaches, as `federation` alone does
    code = command.main(args=list(arguments), prog_name=f"federation {verb}", standalone_mode=False)
    if code == INTERRUPTED:  # typer turns Ctrl-C into a code
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _asked_format(arguments: Sequence[str]) -> Format:
    """Read -o before the verb does: a failure of the verb's own options is answered in the asked format too."""
    from clients.cli.output import Format

    known = {each.value: each for each in Format}
    for here, after in itertools.pairwise([*arguments, ""]):
        for prefix in ("--output=", "-o"):
            if here.startswith(prefix) and here[len(prefix) :] in known:
                return known[here[len(prefix) :]]
        if here in ("-o", "--output") and after in known:
            return known[after]
    return Format.TABLE


def _traceback_if_debugging() -> None:
    if os.environ.get("FEDERATION_DEBUG", "") not in ("", "0"):
        import traceback

        traceback.print_exc()


if __name__ == "__main__":
    sys.exit(main())
