"""`federation jurisdiction init|check|start|stop|status`: a jurisdiction's daemon, for its operator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli import daemons, memory
from clients.cli.main import installed_version
from clients.cli.options import OutputOption, application
from clients.cli.output import Format, Plain, answer, say
from federation.errors import Misuse
from federation.identity import control

app = application(
    "A jurisdiction's daemon: its rows stay here, it only dials out, and it answers with masked numbers.\n\n"
    "  federation jurisdiction init gd.toml     writes a first file to fill in\n"
    "  federation jurisdiction check gd.toml    opens keys, roster and data; says what would be published\n"
    "  federation jurisdiction start gd.toml    runs it"
)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.toml", help="The jurisdiction's one TOML file.")]

FIRST_FILE = """\
# One jurisdiction, one daemon, one file. Paths are relative to this file.
[jurisdiction]
coordinator = "127.0.0.1:7443"      # host:port; we only dial out
keys = "keys/NAME"                  # federation roster join NAME --role jurisdiction
roster = "roster.json"              # signed by every member
state = "state/NAME"                # sealed memory and the control socket

[policy]                            # what is left out is permitted
# purposes = ["official-statistics"]
# statistics = ["count", "sum", "mean", "var", "std", "histogram", "quantile", "ecdf", "describe"]
minimum_parties = 3
# statistics = [..., "train"]       permits training too; what it may be:
# models = ["linear", "mlp"]
# most_rounds = 50
# most_parameters = 10_000
# most_norm = 1.0                   # every training bounds the length of an update

[[dataset]]
name = "people"                     # the same name at every party
source = "people.csv"               # CSV or Parquet, also with * in it
title = "People, 2025"
unit = "person"                     # who is counted
k = 10                              # fewer units than this in a cell of ours: withheld
publish_own_figures = false         # true only for data that are public already

[dataset.columns.age]               # kind, unit, range and lists must be equal at every party; ranges may differ
kind = "integer"
unit = "years"
low = 0
high = 120

[dataset.columns.sex]
kind = "category"
categories = ["f", "m"]
missing = { "9" = "not stated" }
"""


@app.command()
def init(file: FileArgument, output: OutputOption = Format.TABLE) -> int:
    """Write a first file to fill in; never overwrites."""
    try:
        with file.open("x") as target:
            target.write(FIRST_FILE)
    except FileExistsError:
        raise Misuse(f"{file} exists", hint="edit it, or name another file") from None
    except OSError as fault:
        raise Misuse(f"cannot write {file}: {fault.strerror}", hint="name a file in a folder that exists") from None
    text = f"{file} is written: fill it in, then `federation jurisdiction check {file}`"
    return answer({"file": str(file)}, text=text, output=output)


@app.command()
def check(file: FileArgument, output: OutputOption = Format.TABLE) -> int:
    """Open keys, roster and every data set, and say what would be published; contacts nobody."""
    from clients.jurisdiction.config import load
    from clients.jurisdiction.daemon import prepared
    from clients.jurisdiction.survey import surveyed

    config = load(file)
    ready = prepared(config)
    found = {name: surveyed(ready.engines[name], dataset) for name, dataset in sorted(ready.published.items())}
    ready.close()
    lines = [f"{ready.me.name}: keys and roster are in order, dials {config.jurisdiction.coordinator}"]
    for name, dataset in sorted(ready.published.items()):
        own = "publishes own figures" if dataset.own_figures else "no own figures"
        lines.append(f"  {name}: {len(dataset.columns)} columns, unit {dataset.unit}, k {dataset.k}, {own}")
        lines += [f"    warning: {line}" for line in found[name]]
    if config.jurisdiction.development_keys:
        lines.append("  warning: development_keys = true: joint keys that protect nobody are made and used here")
    lines.append(f"next: federation jurisdiction start {file}")
    data: dict[str, Plain] = {
        "name": ready.me.name,
        "coordinator": config.jurisdiction.coordinator,
        "datasets": {
            name: {"k": d.k, "version": d.version, "warnings": list(found[name])} for name, d in ready.published.items()
        },
    }
    return answer(data, text="\n".join(lines), output=output)


@app.command()
def start(
    file: FileArgument,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it attends; it runs on.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Run the daemon, here until Ctrl-C or detached; both resume what its sealed memory holds."""
    from clients.jurisdiction.config import load

    config = load(file)
    if detach:
        process = daemons.launched(["jurisdiction", "start", str(file)], config.jurisdiction.state)
        status = daemons.ready(process, config.jurisdiction.state, "connected")
        text = f"{status['name']} attends {status['coordinator']} (process {status['pid']})"
        return answer({"name": str(status["name"]), "pid": int(str(status["pid"]))}, text=text, output=output)
    import asyncio

    from clients.jurisdiction.daemon import serve

    memory.keep()
    daemons.configured_log(config.jurisdiction.log)
    asyncio.run(serve(config, installed_version(), lambda name: say(f"{name} attends; Ctrl-C ends it")))
    return 0


@app.command()
def reconcile(
    file: FileArgument,
    answers: Annotated[int, typer.Option("--answers", min=1, help="The number that the refusal named.")],
    *,
    lost: Annotated[bool, typer.Option("--lost-for-good", help="No newer copy of the state folder exists.")] = False,
    output: OutputOption = Format.TABLE,
) -> int:
    """Go on from an old copy of the memory when the newest one is lost for good.

    The daemon refuses to answer from a state folder that knows fewer answers than it has signed: it has forgotten over
    which parties some queries were opened, and asking one of them again over others would show the difference. The
    other parties remember, and a sum opens only where a threshold of them agrees; this party alone no longer refuses.
    """
    from clients.jurisdiction.config import load
    from clients.jurisdiction.records import Records
    from federation.identity import keys
    from federation.identity.sealed import SealedLog

    if not lost:
        raise Misuse(
            "a newer copy of the state folder would be safer: put it back and start",
            hint="add --lost-for-good if there is none",
        )
    mine = load(file).jurisdiction
    with SealedLog(mine.state, keys.load(mine.keys).storage_key) as vault:
        Records(vault).reconcile(answers)
        known = Records(vault).answers
    text = f"the memory counts {known} answers now; next: federation jurisdiction start {file}"
    return answer({"answers": known}, text=text, output=output)


@app.command()
def stop(file: FileArgument, output: OutputOption = Format.TABLE) -> int:
    """End the daemon and return when its process is gone; what is open goes on after the next start."""
    from clients.jurisdiction.config import load

    pid = daemons.stopped(load(file).jurisdiction.state)
    return answer({"pid": pid}, text=f"the daemon has ended (process {pid})", output=output)


@app.command()
def status(file: FileArgument, output: OutputOption = Format.TABLE) -> int:
    """Show whether the daemon runs and attends."""
    from clients.jurisdiction.config import load

    found = control.ask(load(file).jurisdiction.state, "status")
    text = (
        f"{found['name']}: process {found['pid']}, "
        f"{'attends' if found['connected'] else 'does not reach'} {found['coordinator']}"
    )
    data: dict[str, Plain] = {
        "name": str(found["name"]),
        "pid": int(str(found["pid"])),
        "connected": bool(found["connected"]),
    }
    return answer(data, text=text, output=output)
