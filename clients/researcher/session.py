"""A researcher's session: look at what is published, ask, follow, and get answers that were checked here.

`run` builds one job from any number of questions, hands it in, follows it, and replays its plan on what was opened; see
`verified` for what is believed. Silence is never an answer: a job ends with a result, a refusal, or a reason.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from clients.researcher.asking import TRAINING_S, Asked, Frame
from clients.researcher.forecast import Forecast, check, verdicts
from clients.researcher.handle import Handle, OnUpdate
from clients.researcher.results import Results
from clients.researcher.submission import TOKEN_BYTES, Draft, drafted
from clients.researcher.table import Table
from clients.researcher.transport import Attendance, Transport
from federation.domain.catalogue import Dataset
from federation.domain.job import Computation, Job, LogLine, State, Summary, Update
from federation.domain.roster import Role
from federation.errors import Misuse, Refused, did_you_mean
from federation.jobs import planner
from federation.jobs.protection import KnownKey, named
from federation.jobs.training import computation
from federation.wire.certificates import Certified

if TYPE_CHECKING:
    from clients.researcher.training import Chosen, Training


def connect(
    name: str = "",
    *,
    identity: str | Path | None = None,
    roster: str | Path | None = None,
    home: Path | None = None,
    on_update: OnUpdate | None = None,
    protection: str = "",
) -> Session:
    """Return a session with a coordinator.

    Args:
        name: a profile of `profiles.toml`, "" for the default one; or host:port, with `identity` and `roster`.
        identity: the folder of the researcher's keys.
        roster: the signed roster's file.
        home: where profiles are; FEDERATION_HOME or `~/.federation` by default.
        on_update: called with each line of a running job's life.
        protection: "masks" or "paillier" for all jobs that do not say; by default a joint key where the parties have
            one that fits, and masks elsewhere.

    Raises:
        Misuse: another protection, no such profile, or an address without keys and roster.
        Refused: keys that others can read, or a roster that is not in force or does not know these keys.
        Unreachable: nobody answers there, or somebody who is not the roster's coordinator.
    """
    from clients.researcher.remote import RemoteTransport
    from federation.identity import keys, roster_file

    named(protection)
    if ":" in name:
        if identity is None or roster is None:
            raise Misuse(f"{name!r} is an address", hint="it needs identity= (your key folder) and roster= (a file)")
        address, key_folder, roster_path = name, Path(identity), Path(roster)
    else:
        from clients.researcher.profile_config import profile

        chosen = profile(name, folder=home)
        address = chosen.coordinator
        key_folder = chosen.keys if identity is None else Path(identity)
        roster_path = chosen.roster if roster is None else Path(roster)
    credentials = keys.load(key_folder)
    members = roster_file.in_force(roster_file.load(roster_path))
    keys.check_joined(credentials, members)
    if credentials.role is not Role.RESEARCHER:
        raise Misuse(
            f"{credentials.name} is a {credentials.role.value}, not a researcher", hint="use a researcher's keys"
        )
    return Session(RemoteTransport(address, credentials, members), on_update=on_update, protection=protection)


class Session:
    """A connection to one federation, as one researcher; a context manager.

    Attributes:
        on_update: called with each line of a running job's life; None for silence.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        on_update: OnUpdate | None = None,
        now_s: Callable[[], float] = time.time,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        protection: str = "",
    ) -> None:
        self._transport = transport
        self.on_update = on_update
        self._now_s = now_s
        self._entropy = entropy
        self._protection = protection

    @property
    def me(self) -> str:
        """The researcher's member name."""
        return self._transport.me

    @property
    def coordinator(self) -> str:
        """The coordinator's member name, who is blamed for what no party signed."""
        found = self._transport.roster.with_role(Role.COORDINATOR)
        return found[0].name if found else "the coordinator"

    def datasets(self) -> tuple[str, ...]:
        """Return the names of all data sets that anybody publishes, sorted."""
        return tuple(sorted(self._transport.publications()))

    def tables(self) -> tuple[Table, ...]:
        """Return what is published, in name order, without data sets whose publications disagree; `table` says why."""
        found = []
        for name in self.datasets():
            with contextlib.suppress(Refused):
                found.append(self.table(name))
        return tuple(found)

    def table(
        self,
        name: str,
        *,
        purpose: str = "",
        protection: str | None = None,
        minimum_parties: int | None = None,
        deadline_s: float = 60.0,
        parties: Sequence[str] = (),
    ) -> Table:
        """Return a published data set, and what jobs over it say unless `run` says otherwise.

        Args:
            name: as `tables()` has it.
            purpose: why; each jurisdiction's policy judges it.
            protection: "masks" or "paillier"; by default as the session was made, else a joint key where the parties
                have one that fits, and masks elsewhere.
            minimum_parties: fewest contributors, at least 3; by default all: nobody may be missing.
            deadline_s: seconds after which a job ends with a reason.
            parties: who takes part; everybody who publishes the data set if empty.

        Raises:
            Misuse: nobody, or one of `parties` does not, publish it; another word for a protection.
            Refused: rule "catalogue": the publications do not describe the same thing.
        """
        published = self._transport.publications()
        if name not in published:
            raise Misuse(f"nobody publishes a data set {name!r}", hint=did_you_mean(name, published))
        each = published[name]
        for party in parties:
            if party not in each:
                raise Misuse(f"{party} does not publish {name!r}", hint=f"published by {', '.join(sorted(each))}")
        if protection is not None:
            named(protection)
        chosen = {party: each[party] for party in parties or each}
        frame = Frame(
            purpose=purpose,
            protection=self._protection if protection is None else protection,
            minimum_parties=minimum_parties,
            deadline_s=deadline_s,
            parties=tuple(sorted(parties)),
        )
        return Table(self, chosen, frame)

    def table_of(self, asked: Asked) -> Table:
        """Return the table that a job file asks about, in the file's frame. Raises as `table` and `where` do."""
        table = self.table(asked.data, parties=asked.frame.parties)
        if asked.frame.where:
            table.where(asked.frame.where)
        return table.framed(asked.frame)

    def run(
        self,
        asked: Sequence[Computation],
        *,
        data: Table,
        purpose: str | None = None,
        protection: str | None = None,
        minimum_parties: int | None = None,
        deadline_s: float | None = None,
        name: str | None = None,
    ) -> Results:
        """Ask several statistics in one job with one approval, follow it, and return its checked results.

        Args:
            asked: questions, such as `t.ask.mean("age")`.
            data: a table of this session, with its `where`.
            purpose: and the others: as `table` has them; None for what the table says.
            protection: "masks" or "paillier".
            minimum_parties: fewest contributors, at least 3; by default all: nobody may be missing.
            deadline_s: seconds from now.
            name: readable; made from the first question if not given.

        Raises:
            Misuse: the questions or the frame have no meaning, or every question failed for such a reason.
            Refused: jurisdictions said no; the error has every party, rule and remedy in `blames`.
            Unavailable: somebody did not answer in time.
            ProtocolViolation: somebody cheated; named.
            JobFailed: no result for another reason.
        """
        frame = _framed(data.frame, purpose, protection, minimum_parties, deadline_s, name)
        return self.submit(asked, data=data.framed(frame)).results()

    def train(
        self,
        *,
        model: str = "linear",
        data: Table,
        target: str,
        strategy: Chosen | None = None,
        features: Sequence[str] = (),
        config: Mapping[str, object] | None = None,
        purpose: str | None = None,
        minimum_parties: int | None = None,
        deadline_s: float = TRAINING_S,
        name: str | None = None,
        **options: object,
    ) -> Training:
        """Hand in a training and return at once: `.watch()` yields its rounds, `.result()` the model.

        Args:
            model: an architecture: "linear", "mlp", "cnn", "tabular", "lstm".
            data: a table of this session, with its `where`.
            target: the column that is predicted.
            strategy: such as `fed.FedAvg(rounds=20, lr=0.1)`, which is the default.
            features: the columns that it is predicted from; all others that identify nobody by default.
            config: of the model, such as {"hidden": (64, 32)}.
            purpose: and the others: as `table` has them.
            deadline_s: seconds from now; an hour by default.
            options: seed, holdout, split, scale, evaluate_every, patience, best and task, as
                `federation.training.plan.TrainingPlan` has them.

        Raises:
            Misuse: a plan without a meaning, with the nearest word; nobody was asked.
            Refused: rule of the protocol, such as fewer than three parties.
        """
        from clients.researcher.training import Training

        draft = self._training(
            model, data, target, strategy, features, config, purpose, minimum_parties, deadline_s, name, options
        )
        return Training(self.hand_in(draft.job, data.publications))

    def plan_training(
        self,
        *,
        model: str = "linear",
        data: Table,
        target: str,
        strategy: Chosen | None = None,
        features: Sequence[str] = (),
        config: Mapping[str, object] | None = None,
        purpose: str | None = None,
        minimum_parties: int | None = None,
        deadline_s: float = TRAINING_S,
        name: str | None = None,
        **options: object,
    ) -> Forecast:
        """Return what `train` with the same arguments would open, to whom, and who would refuse. Asks nobody."""
        draft = self._training(
            model, data, target, strategy, features, config, purpose, minimum_parties, deadline_s, name, options
        )
        return self._forecast(draft, data)

    def plan(
        self,
        asked: Sequence[Computation],
        *,
        data: Table,
        purpose: str | None = None,
        protection: str | None = None,
        minimum_parties: int | None = None,
        deadline_s: float | None = None,
        name: str | None = None,
    ) -> Forecast:
        """Return what `run` with the same arguments would open, and to whom. Asks nobody."""
        frame = _framed(data.frame, purpose, protection, minimum_parties, deadline_s, name)
        return self._forecast(self._draft(asked, data.framed(frame)), data)

    def submit(self, asked: Sequence[Computation], *, data: Table) -> Handle:
        """Hand in a job in the frame of `data` and return at once, also when it awaits a person.

        Raises:
            Misuse: the questions have no meaning; nobody was asked.
            Refused: rule of the protocol, such as fewer than three parties.
        """
        return self.hand_in(self.prepared(asked, data=data), data.publications)

    def prepared(self, asked: Sequence[Computation], *, data: Table, token: bytes | None = None) -> Job:
        """Return the job that `submit` would hand in; nobody is asked.

        Args:
            token: 16 bytes that name the job for ever; drawn by default.
        """
        job = self._draft(asked, data, token).job
        check(job, data.joint)
        return job

    def hand_in(self, job: Job, published: Mapping[str, Dataset]) -> Handle:
        """Hand in a prepared job, or one that was handed in before: the same bytes are the same job."""
        return self.handle(job, self._transport.submit(job), published)

    def attendance(self) -> tuple[Attendance, ...]:
        """Return every jurisdiction of the roster and whether it attends."""
        return self._transport.attendance()

    def joint_keys(self) -> tuple[Certified, ...]:
        """Return the federation's joint keys, oldest first, each signed by all its holders."""
        return self._transport.joint_keys()

    def jobs(self) -> tuple[Summary, ...]:
        """Return the researcher's own jobs at the coordinator, oldest first."""
        return self._transport.jobs()

    def job(self, name: str) -> Summary:
        """Return the own job with this name, or whose name or hash begins so; the newest of several with one name.

        Raises:
            Misuse: no such job, or several different ones.
        """
        known = self.jobs()
        found = [each for each in known if name in (each.job.name, each.job_hash.hex())]
        found = found or [e for e in known if e.job.name.startswith(name) or e.job_hash.hex().startswith(name)]
        if not found:
            hint = did_you_mean(name, [each.job.name for each in known]) or "federation get jobs"
            raise Misuse(f"you have no job {name!r}", hint=hint)
        if len({each.job.name for each in found}) > 1:
            raise Misuse(f"{len(found)} jobs begin with {name!r}", hint=", ".join(each.job.name for each in found))
        return found[-1]

    def cancel(self, job: Summary) -> State:
        """End an own job; return where it stands then."""
        return self._transport.cancel(job.job_hash)

    def log(self, job: Summary, *, follow: bool = False) -> Iterator[LogLine]:
        """Yield what happened to an own job, oldest first; on until it ends if `follow`."""
        return self._transport.log(job.job_hash, follow=follow)

    def standing(self, job: Summary) -> Update:
        """Return where an own job stands now, party by party."""
        return next(iter(self._transport.watch(job.job_hash)))

    def handle(self, job: Job, job_hash: bytes, published: Mapping[str, Dataset]) -> Handle:
        """Return the handle of a job that was handed in before, with the publications that it pins."""
        return Handle(
            transport=self._transport,
            job=job,
            job_hash=job_hash,
            published=published,
            coordinator=self.coordinator,
            on_update=self.on_update,
            now_s=self._now_s,
        )

    def close(self) -> None:
        """Hang up; jobs go on without us."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        roster = self._transport.roster
        return f"Session({self.me!r} in {roster.federation!r}, roster version {roster.version})"

    def _keys(self) -> Sequence[KnownKey]:
        return [KnownKey(joint=key.joint, expires_ms=key.expires_ms) for key in self._transport.joint_keys()]

    def _forecast(self, draft: Draft, data: Table) -> Forecast:
        from clients.researcher.forecast_training import TrainingForecast

        judged = verdicts(draft.job, data.publications, data.joint)
        seen = planner.preview(draft.job, data.joint)
        kind = Forecast if seen.training is None else TrainingForecast
        return kind(job=draft.job, preview=seen, why=draft.why, verdicts=judged)

    def _training(
        self,
        model: str,
        data: Table,
        target: str,
        strategy: Chosen | None,
        features: Sequence[str],
        config: Mapping[str, object] | None,
        purpose: str | None,
        minimum_parties: int | None,
        deadline_s: float,
        name: str | None,
        options: Mapping[str, object],
    ) -> Draft:
        """Return the job that trains; arguments as `train` has them."""
        from clients.researcher import training

        plan = training.plan(
            model=model,
            target=target,
            features=features,
            config=config or {},
            strategy=training.strategy("fedavg")() if strategy is None else strategy,
            options=options,
            joint=data.joint,
        )
        frame = _framed(data.frame, purpose, data.frame.protection or "masks", minimum_parties, deadline_s, name)
        return self._draft((computation(plan),), data.framed(frame))

    def _draft(self, asked: Sequence[Computation], data: Table, token: bytes | None = None) -> Draft:
        return drafted(
            asked,
            data=data,
            frame=data.frame,
            roster=self._transport.roster,
            researcher=self.me,
            now_s=self._now_s(),
            token=self._entropy(TOKEN_BYTES) if token is None else token,
            keys=self._keys,
        )


def _framed(
    frame: Frame,
    purpose: str | None,
    protection: str | None,
    minimum_parties: int | None,
    deadline_s: float | None,
    name: str | None,
) -> Frame:
    return replace(
        frame,
        purpose=frame.purpose if purpose is None else purpose,
        protection=frame.protection if protection is None else protection,
        minimum_parties=frame.minimum_parties if minimum_parties is None else minimum_parties,
        deadline_s=frame.deadline_s if deadline_s is None else deadline_s,
        name=frame.name if name is None else name,
    )
