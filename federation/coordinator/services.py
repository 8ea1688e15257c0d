"""The servicer: every method converts in, asks the driver, converts out. Who may call what is `access`.

One event loop runs the driver, so nothing here locks. A jurisdiction has one control stream; a newer one takes its
place. Frames for somebody who does not attend are dropped: what is outstanding is sent again when it attends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, TypeAlias

import grpc

from federation.coordinator.access import SERVICE, caller
from federation.coordinator.blobs import Blobs
from federation.coordinator.driver import Driver
from federation.coordinator.run import Outgoing
from federation.coordinator.spool import MemorySpool, Spool
from federation.domain.job import Update
from federation.domain.roster import Roster
from federation.errors import FederationError, Misuse, ProtocolViolation, Unavailable
from federation.wire import bulk, convert, pieces
from federation.wire import messages as m
from federation.wire.evidence import encoded
from federation.wire.v1 import coordinator_service_pb2 as pb
from federation.wire.v1 import coordinator_service_pb2_grpc as pb_grpc

MOST_JOBS = 1000  # of one researcher, the newest: a list fits a message
MOST_PARTS = 1 << 16  # of an upload: 16 GiB of a vector
MOST_KEYS = 20  # the newest: five years of one circle; ten holders' signatures under 4096 bits are 130 kB a key
Context: TypeAlias = Any  # grpc.aio.ServicerContext, which has no types


def now_ms() -> int:
    """Return Unix time in milliseconds: the one clock of the coordinator."""
    return time.time_ns() // 1_000_000


class CoordinatorService(pb_grpc.CoordinatorServiceServicer):
    """The one service.

    Args:
        roster: who is a member.
        software: version, for people.
        heard: called with (direction, member, frame) for every frame, for the wire log.
        failed: called when the store cannot be written: the process has to end and fold the store again.
    """

    def __init__(
        self,
        roster: Roster,
        software: str,
        heard: Callable[[str, str, m.Frame], None],
        failed: Callable[[FederationError], None],
    ) -> None:
        self.driver: Driver  # set by `app` before the server starts: the driver needs `changed`
        self._roster, self._software, self._heard, self._failed = roster, software, heard, failed
        self.spool: Spool = MemorySpool()  # set by `app` likewise: for what is uploaded
        self._outboxes: dict[str, asyncio.Queue[m.Frame | None]] = {}
        self._blobs = Blobs()
        self._watchers: dict[bytes, list[asyncio.Event]] = {}
        self._ending = False
        self._folding = asyncio.Lock()  # one job's evidence at a time, beside the loop: it adds up every sum again
        self.deadlines = asyncio.Event()  # set when the next deadline may have moved

    def added_to(self, server: Any) -> None:
        """Let a gRPC server offer this; the two methods that carry vectors read and write their bytes themselves."""
        upload = grpc.stream_unary_rpc_method_handler(
            self.Upload, response_serializer=pb.UploadResponse.SerializeToString
        )
        download = grpc.unary_stream_rpc_method_handler(
            self.Download, request_deserializer=pb.DownloadRequest.FromString
        )
        pb_grpc.add_CoordinatorServiceServicer_to_server(self, server)
        server.add_registered_method_handlers(SERVICE, {"Upload": upload, "Download": download})

    def changed(self, job_hash: bytes) -> None:
        """Wake those who watch a job."""
        self.deadlines.set()
        for event in self._watchers.get(job_hash, ()):
            event.set()

    def deliver(self, outgoing: Sequence[Outgoing]) -> None:
        """Put frames into the outboxes of those who attend."""
        for item in outgoing:
            outbox = self._outboxes.get(item.to)
            if outbox is not None:
                outbox.put_nowait(item.frame)

    def hang_up(self) -> None:
        """Close all control streams, and the streams of those who watch: they ask again, and find us gone."""
        self._ending = True
        for outbox in self._outboxes.values():
            outbox.put_nowait(None)
        for events in self._watchers.values():
            for event in events:
                event.set()

    # --- jurisdictions ----------------------------------------------------------------------------------------------

    async def Attend(self, requests: AsyncIterator[pb.AttendRequest], context: Context) -> None:
        party = caller().name
        outbox: asyncio.Queue[m.Frame | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(party, requests, outbox, context))
        try:
            while (frame := await outbox.get()) is not None:
                await context.write(pb.AttendResponse(frame=self._outgoing(party, frame)))
            if reader.done():
                reader.result()  # raises what ended the reader
        finally:
            reader.cancel()
            if self._outboxes.get(party) is outbox:
                del self._outboxes[party]
                self._blobs.drop(party)
                try:
                    self.deliver(self.driver.leave(party))
                except Unavailable as fault:
                    self._failed(fault)

    async def _read(
        self,
        party: str,
        requests: AsyncIterator[pb.AttendRequest],
        outbox: asyncio.Queue[m.Frame | None],
        context: Context,
    ) -> None:
        """Feed the driver until the stream ends; then close the outbox, which ends the stream's writer."""
        try:
            async for request in requests:
                frame = self._incoming(party, request)
                if self._outboxes.get(party) is outbox:
                    self.deliver(self.driver.receive(party, frame))
                    continue
                out = self.driver.attend(party, frame)
                older = self._outboxes.get(party)
                if older is not None:
                    older.put_nowait(None)
                self._outboxes[party] = outbox
                await context.send_initial_metadata(())  # tells the daemon that its hello was taken
                self.deliver(out)
        except Unavailable as fault:
            self._failed(fault)
            raise
        finally:
            outbox.put_nowait(None)

    def _incoming(self, party: str, request: pb.AttendRequest) -> m.Frame:
        parts = None
        if request.frame.blob:
            parts = self._blobs.take(party, request.frame.blob)
            if parts is None:
                raise ProtocolViolation(
                    party, phase="chunk stream", expected="the bytes before the frame", got="no bytes"
                )
        try:
            frame = convert.frame_from(request.frame, parts)
        except convert.Malformed as fault:
            raise ProtocolViolation(party, phase="frame", expected="a well-formed frame", got=str(fault)) from None
        self._heard("in", party, frame)
        return frame

    def _outgoing(self, party: str, frame: m.Frame) -> Any:
        self._heard("out", party, frame)
        if bulk.is_inline(frame.parts):
            return convert.frame_to(frame)
        # A word of a key ceremony may be asked for twice in one session; each time its box has a name of its own.
        blob = secrets.token_bytes(bulk.BLOB_ID_BYTES) if frame.to else hashlib.sha256(frame.signed.body).digest()
        self._blobs.keep(party, blob, frame.parts)
        return convert.frame_to(frame, blob=blob)

    async def Upload(self, requests: AsyncIterator[bytes], context: Context) -> pb.UploadResponse:
        party = caller().name
        first = await anext(requests, None)
        if first is None:
            raise self._miscounted(party)
        head = self._piece(party, first)
        arriving = self.spool.arriving()
        try:
            with self._blobs.room(party, head.blob, head.blob_bytes):  # and no longer: what is kept counts by itself
                due, many, piece = head.blob_bytes, 0, head.parts
                while True:
                    due, many = due - sum(map(len, piece)), many + len(piece)
                    if due < 0 or many > MOST_PARTS:
                        raise self._miscounted(party)
                    arriving.add(piece)
                    request = await anext(requests, None)
                    if request is None:
                        break
                    piece = self._piece(party, request).parts
                    if not all(piece or (b"",)):  # empty ones could go on for ever
                        raise self._miscounted(party)
            if due:
                raise self._miscounted(party)
            self._blobs.keep(party, head.blob, arriving.whole())
        finally:
            arriving.forget()
        return pb.UploadResponse()

    @staticmethod
    def _piece(party: str, request: bytes) -> pieces.Piece:
        try:
            return pieces.upload_of(request)
        except convert.Malformed as fault:
            raise ProtocolViolation(party, phase="upload", expected="pieces of a blob", got=str(fault)) from None

    @staticmethod
    def _miscounted(party: str) -> ProtocolViolation:
        return ProtocolViolation(party, phase="upload", expected="as many bytes as it said", got="another number")

    async def Download(self, request: pb.DownloadRequest, context: Context) -> AsyncIterator[bytes]:
        party = caller().name
        parts = self._blobs.take(party, request.blob)
        if parts is None:
            # We were started again in the middle, or a newer stream took over: the next line is told all of it anew.
            raise Unavailable("there are no such bytes for this party", hint="dial again: all is said again")
        for some in bulk.pieces_of(parts):
            yield pieces.download_bytes(some)

    # --- researchers ------------------------------------------------------------------------------------------------

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        researcher = caller().name
        try:
            job = convert.signed_from(request.job)
        except convert.Malformed as fault:
            raise Misuse(f"the request has {fault}") from None
        self._heard("in", researcher, m.Frame(job))
        job_hash, out = self.driver.submit(job, now_ms(), researcher)
        self.deliver(out)
        return pb.SubmitResponse(job_hash=job_hash)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        researcher = caller().name
        with self._watching(request.job_hash) as woken:
            while True:
                woken.clear()
                update = self.driver.update(request.job_hash, researcher)
                yield response_of(update)
                if update.state.ended or self._ending:
                    return
                await woken.wait()

    async def Fetch(self, request: pb.FetchRequest, context: Context) -> pb.FetchResponse:
        researcher = caller().name
        totals, attestations = self.driver.released(request.job_hash, researcher)
        return pb.FetchResponse(
            totals=[release.total for release in totals],
            attestations=[convert.signed_to(a) for a in attestations],
            contributors=convert.contributors_to(release.parties for release in totals),
        )

    async def Follow(self, request: pb.FollowRequest, context: Context) -> pb.FollowResponse:
        opened = self.driver.opened(request.job_hash, caller().name)[request.known :]
        return pb.FollowResponse(
            totals=[release.total for release in opened],
            contributors=convert.contributors_to(release.parties for release in opened),
        )

    async def ReadModel(self, request: pb.ReadModelRequest, context: Context) -> AsyncIterator[pb.ReadModelResponse]:
        content = await asyncio.to_thread(self.driver.model(request.job_hash, caller().name, best=request.best))
        for start in range(0, len(content), bulk.PIECE_BYTES):
            yield pb.ReadModelResponse(piece=content[start : start + bulk.PIECE_BYTES])

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        jobs = [
            pb.JobSummary(
                job_hash=summary.job_hash,
                job=convert.signed_to(envelope),
                state=convert.state_to(summary.state),
                round_index=summary.round_index,
                submitted_ms=summary.submitted_ms,
                blames=[convert.blame_to(blame) for blame in summary.blames],
            )
            for summary, envelope in self.driver.summaries(caller().name)[-MOST_JOBS:]
        ]
        return pb.ListJobsResponse(jobs=jobs)

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        researcher = caller().name
        self.deliver(self.driver.cancel(request.job_hash, researcher))
        return pb.CancelResponse(state=convert.state_to(self.driver.update(request.job_hash, researcher).state))

    async def ReadLog(self, request: pb.ReadLogRequest, context: Context) -> AsyncIterator[pb.ReadLogResponse]:
        researcher, told = caller().name, 0
        with self._watching(request.job_hash) as woken:
            while True:
                woken.clear()
                lines = self.driver.log(request.job_hash, researcher)
                for line in lines[told:]:
                    yield pb.ReadLogResponse(at_ms=line.at_ms, party=line.party, text=line.text)
                told = len(lines)
                if not request.follow or self._ending or self.driver.update(request.job_hash, researcher).state.ended:
                    return
                await woken.wait()

    @contextlib.contextmanager
    def _watching(self, job_hash: bytes) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the job's life changes."""
        woken = asyncio.Event()
        self._watchers.setdefault(job_hash, []).append(woken)
        try:
            yield woken
        finally:
            self._watchers[job_hash].remove(woken)
            if not self._watchers[job_hash]:
                del self._watchers[job_hash]

    # --- researchers and parties ------------------------------------------------------------------------------------

    async def ReadEvidence(
        self, request: pb.ReadEvidenceRequest, context: Context
    ) -> AsyncIterator[pb.ReadEvidenceResponse]:
        made = self.driver.evidence(request.job_hash, caller().name)
        async with self._folding:
            content = await asyncio.to_thread(lambda: encoded(made()))
        for start in range(0, len(content), bulk.PIECE_BYTES):
            yield pb.ReadEvidenceResponse(piece=content[start : start + bulk.PIECE_BYTES])

    # --- everybody --------------------------------------------------------------------------------------------------

    async def ListPublications(
        self, request: pb.ListPublicationsRequest, context: Context
    ) -> pb.ListPublicationsResponse:
        return pb.ListPublicationsResponse(publications=[convert.signed_to(p) for p in self.driver.publications()])

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        keys = [
            pb.KeyCertificates(signatures=[convert.signed_to(one) for one in certified.signatures])
            for certified in self.driver.joint_keys.all()[-MOST_KEYS:]
        ]
        return pb.ListKeysResponse(keys=keys)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        running, stored = self.driver.counts()
        parties = [
            pb.PartyStatus(party=party, connected=here is not None, software=here.software if here else "")
            for party, here in self.driver.attendance().items()
        ]
        return pb.GetStatusResponse(
            software=self._software, parties=parties, jobs_running=running, jobs_stored=stored, now_ms=now_ms()
        )


def response_of(update: Update) -> pb.WatchResponse:
    """Return the message of a line of a job's life."""
    return pb.WatchResponse(
        job_hash=update.job_hash,
        state=convert.state_to(update.state),
        round_index=update.round_index,
        parties=[
            pb.PartyProgress(
                party=p.party, step=p.step, connected=p.connected, sent_bytes=p.sent_bytes, heard_ms=p.heard_ms
            )
            for p in update.parties
        ],
        blames=[convert.blame_to(blame) for blame in update.blames],
    )
