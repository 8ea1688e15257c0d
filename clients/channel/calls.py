"""The calls that a researcher makes: protobuf in and out, every failure an error of ours.

Knows no meaning: `clients.researcher.remote` makes values of what comes back and checks who signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from clients.channel import connect
from federation.domain.roster import Roster
from federation.identity.keys import Credentials
from federation.wire.v1 import coordinator_service_pb2 as pb
from federation.wire.v1 import coordinator_service_pb2_grpc as pb_grpc
from federation.wire.v1 import signed_pb2

import grpc  # isort: skip  # after `connect`, which restricts TLS

A = TypeVar("A")
WATCH_S = 60.0
EVIDENCE_S = 600.0
CALL_S = 20.0  # a unary call that takes longer has lost its coordinator


class Calls:
    """One channel of one member to the coordinator; every method raises errors of `federation.errors` only."""

    def __init__(self, address: str, credentials: Credentials, roster: Roster) -> None:
        self._address = address
        self._channel = connect.sync_channel(address, credentials, roster)
        self._stub = pb_grpc.CoordinatorServiceStub(self._channel)

    def list_publications(self) -> pb.ListPublicationsResponse:
        """Return what is published now."""
        response: pb.ListPublicationsResponse = self._called(
            lambda: self._stub.ListPublications(pb.ListPublicationsRequest(), timeout=CALL_S)
        )
        return response

    def list_keys(self) -> pb.ListKeysResponse:
        """Return the certificates of the federation's joint keys."""
        response: pb.ListKeysResponse = self._called(lambda: self._stub.ListKeys(pb.ListKeysRequest(), timeout=CALL_S))
        return response

    def submit(self, job: signed_pb2.Signed) -> pb.SubmitResponse:
        """Hand in a signed job."""
        response: pb.SubmitResponse = self._called(lambda: self._stub.Submit(pb.SubmitRequest(job=job), timeout=CALL_S))
        return response

    def fetch(self, job_hash: bytes) -> pb.FetchResponse:
        """Return what a job opened, with the signatures under it; both empty unless it is released."""
        response: pb.FetchResponse = self._called(
            lambda: self._stub.Fetch(pb.FetchRequest(job_hash=job_hash), timeout=CALL_S)
        )
        return response

    def list_jobs(self) -> pb.ListJobsResponse:
        """Return the caller's jobs."""
        response: pb.ListJobsResponse = self._called(lambda: self._stub.ListJobs(pb.ListJobsRequest(), timeout=CALL_S))
        return response

    def cancel(self, job_hash: bytes) -> pb.CancelResponse:
        """End a job of the caller's own."""
        response: pb.CancelResponse = self._called(
            lambda: self._stub.Cancel(pb.CancelRequest(job_hash=job_hash), timeout=CALL_S)
        )
        return response

    def read_log(self, job_hash: bytes, *, follow: bool) -> Iterator[pb.ReadLogResponse]:
        """Yield the lines of a job's log; on until the job ends if `follow`, but a minute at most."""
        yield from self._streamed(
            self._stub.ReadLog(pb.ReadLogRequest(job_hash=job_hash, follow=follow), timeout=WATCH_S)
        )

    def read_evidence(self, job_hash: bytes) -> Iterator[pb.ReadEvidenceResponse]:
        """Yield a job's evidence file in pieces, to its end; it is made again first, which may take a while."""
        yield from self._whole(self._stub.ReadEvidence(pb.ReadEvidenceRequest(job_hash=job_hash), timeout=EVIDENCE_S))

    def follow(self, job_hash: bytes, known: int) -> pb.FollowResponse:
        """Return what a training has opened after its first `known` sums."""
        response: pb.FollowResponse = self._called(
            lambda: self._stub.Follow(pb.FollowRequest(job_hash=job_hash, known=known), timeout=CALL_S)
        )
        return response

    def read_model(self, job_hash: bytes, *, best: bool) -> Iterator[pb.ReadModelResponse]:
        """Yield a training's model file in pieces, to its end."""
        call = self._stub.ReadModel(pb.ReadModelRequest(job_hash=job_hash, best=best), timeout=EVIDENCE_S)
        yield from self._whole(call)

    def status(self) -> pb.GetStatusResponse:
        """Return who attends and what runs."""
        response: pb.GetStatusResponse = self._called(
            lambda: self._stub.GetStatus(pb.GetStatusRequest(), timeout=CALL_S)
        )
        return response

    def watch(self, job_hash: bytes) -> Iterator[pb.WatchResponse]:
        """Yield the lines of a job's life until it has ended, the line breaks, or a minute has passed.

        A stream that lives for a minute cannot be kept silent for ever by a coordinator that stays connected: whoever
        watches asks again, and hears at least where the job stands.
        """
        yield from self._streamed(self._stub.Watch(pb.WatchRequest(job_hash=job_hash), timeout=WATCH_S))

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def _streamed(self, call: Any) -> Iterator[Any]:  # noqa: ANN401 - gRPC has no types
        try:
            yield from call
        except grpc.RpcError as fault:
            if fault.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise connect.explained(fault, self._address) from None
        finally:
            call.cancel()

    def _whole(self, call: Any) -> Iterator[Any]:  # noqa: ANN401 - gRPC has no types
        try:
            yield from call
        except grpc.RpcError as fault:  # also when time is up: a file that is cut off is none
            raise connect.explained(fault, self._address) from None
        finally:
            call.cancel()

    def _called(self, call: Callable[[], A]) -> A:
        try:
            return call()
        except grpc.RpcError as fault:
            raise connect.explained(fault, self._address) from None
