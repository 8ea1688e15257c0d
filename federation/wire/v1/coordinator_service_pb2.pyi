from federation.wire.v1 import job_pb2 as _job_pb2
from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttendRequest(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: _signed_pb2.Frame
    def __init__(self, frame: _Optional[_Union[_signed_pb2.Frame, _Mapping]] = ...) -> None: ...

class AttendResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: _signed_pb2.Frame
    def __init__(self, frame: _Optional[_Union[_signed_pb2.Frame, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("party", "roster_hash", "software", "publications", "open_jobs")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    ROSTER_HASH_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    OPEN_JOBS_FIELD_NUMBER: _ClassVar[int]
    party: str
    roster_hash: bytes
    software: str
    publications: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    open_jobs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, party: _Optional[str] = ..., roster_hash: _Optional[bytes] = ..., software: _Optional[str] = ..., publications: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ..., open_jobs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UploadRequest(_message.Message):
    __slots__ = ("blob", "blob_bytes", "parts")
    BLOB_FIELD_NUMBER: _ClassVar[int]
    BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    blob: bytes
    blob_bytes: int
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, blob: _Optional[bytes] = ..., blob_bytes: _Optional[int] = ..., parts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class UploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DownloadRequest(_message.Message):
    __slots__ = ("blob",)
    BLOB_FIELD_NUMBER: _ClassVar[int]
    blob: bytes
    def __init__(self, blob: _Optional[bytes] = ...) -> None: ...

class DownloadResponse(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, parts: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _signed_pb2.Signed
    def __init__(self, job: _Optional[_Union[_signed_pb2.Signed, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("job_hash",)
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    def __init__(self, job_hash: _Optional[bytes] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("job_hash",)
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    def __init__(self, job_hash: _Optional[bytes] = ...) -> None: ...

class PartyProgress(_message.Message):
    __slots__ = ("party", "step", "connected", "sent_bytes", "heard_ms")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    HEARD_MS_FIELD_NUMBER: _ClassVar[int]
    party: str
    step: str
    connected: bool
    sent_bytes: int
    heard_ms: int
    def __init__(self, party: _Optional[str] = ..., step: _Optional[str] = ..., connected: bool = ..., sent_bytes: _Optional[int] = ..., heard_ms: _Optional[int] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("job_hash", "state", "round_index", "parties", "blames")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    BLAMES_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    state: _job_pb2.State
    round_index: int
    parties: _containers.RepeatedCompositeFieldContainer[PartyProgress]
    blames: _containers.RepeatedCompositeFieldContainer[_job_pb2.Blame]
    def __init__(self, job_hash: _Optional[bytes] = ..., state: _Optional[_Union[_job_pb2.State, str]] = ..., round_index: _Optional[int] = ..., parties: _Optional[_Iterable[_Union[PartyProgress, _Mapping]]] = ..., blames: _Optional[_Iterable[_Union[_job_pb2.Blame, _Mapping]]] = ...) -> None: ...

class FetchRequest(_message.Message):
    __slots__ = ("job_hash",)
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    def __init__(self, job_hash: _Optional[bytes] = ...) -> None: ...

class Contributors(_message.Message):
    __slots__ = ("parties",)
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    parties: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, parties: _Optional[_Iterable[str]] = ...) -> None: ...

class FetchResponse(_message.Message):
    __slots__ = ("totals", "attestations", "contributors")
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedScalarFieldContainer[bytes]
    attestations: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    contributors: _containers.RepeatedCompositeFieldContainer[Contributors]
    def __init__(self, totals: _Optional[_Iterable[bytes]] = ..., attestations: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ..., contributors: _Optional[_Iterable[_Union[Contributors, _Mapping]]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JobSummary(_message.Message):
    __slots__ = ("job_hash", "job", "state", "round_index", "submitted_ms", "blames")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_MS_FIELD_NUMBER: _ClassVar[int]
    BLAMES_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    job: _signed_pb2.Signed
    state: _job_pb2.State
    round_index: int
    submitted_ms: int
    blames: _containers.RepeatedCompositeFieldContainer[_job_pb2.Blame]
    def __init__(self, job_hash: _Optional[bytes] = ..., job: _Optional[_Union[_signed_pb2.Signed, _Mapping]] = ..., state: _Optional[_Union[_job_pb2.State, str]] = ..., round_index: _Optional[int] = ..., submitted_ms: _Optional[int] = ..., blames: _Optional[_Iterable[_Union[_job_pb2.Blame, _Mapping]]] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[JobSummary]
    def __init__(self, jobs: _Optional[_Iterable[_Union[JobSummary, _Mapping]]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("job_hash",)
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    def __init__(self, job_hash: _Optional[bytes] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("state",)
    STATE_FIELD_NUMBER: _ClassVar[int]
    state: _job_pb2.State
    def __init__(self, state: _Optional[_Union[_job_pb2.State, str]] = ...) -> None: ...

class ReadLogRequest(_message.Message):
    __slots__ = ("job_hash", "follow")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    follow: bool
    def __init__(self, job_hash: _Optional[bytes] = ..., follow: bool = ...) -> None: ...

class ReadLogResponse(_message.Message):
    __slots__ = ("at_ms", "party", "text")
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    PARTY_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at_ms: int
    party: str
    text: str
    def __init__(self, at_ms: _Optional[int] = ..., party: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class ReadEvidenceRequest(_message.Message):
    __slots__ = ("job_hash",)
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    def __init__(self, job_hash: _Optional[bytes] = ...) -> None: ...

class ReadEvidenceResponse(_message.Message):
    __slots__ = ("piece",)
    PIECE_FIELD_NUMBER: _ClassVar[int]
    piece: bytes
    def __init__(self, piece: _Optional[bytes] = ...) -> None: ...

class FollowRequest(_message.Message):
    __slots__ = ("job_hash", "known")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    known: int
    def __init__(self, job_hash: _Optional[bytes] = ..., known: _Optional[int] = ...) -> None: ...

class FollowResponse(_message.Message):
    __slots__ = ("totals", "contributors")
    TOTALS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    totals: _containers.RepeatedScalarFieldContainer[bytes]
    contributors: _containers.RepeatedCompositeFieldContainer[Contributors]
    def __init__(self, totals: _Optional[_Iterable[bytes]] = ..., contributors: _Optional[_Iterable[_Union[Contributors, _Mapping]]] = ...) -> None: ...

class ReadModelRequest(_message.Message):
    __slots__ = ("job_hash", "best")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    best: bool
    def __init__(self, job_hash: _Optional[bytes] = ..., best: bool = ...) -> None: ...

class ReadModelResponse(_message.Message):
    __slots__ = ("piece",)
    PIECE_FIELD_NUMBER: _ClassVar[int]
    piece: bytes
    def __init__(self, piece: _Optional[bytes] = ...) -> None: ...

class ListPublicationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPublicationsResponse(_message.Message):
    __slots__ = ("publications",)
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    publications: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    def __init__(self, publications: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ...) -> None: ...

class ListKeysRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KeyCertificates(_message.Message):
    __slots__ = ("signatures",)
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    signatures: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    def __init__(self, signatures: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ...) -> None: ...

class ListKeysResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[KeyCertificates]
    def __init__(self, keys: _Optional[_Iterable[_Union[KeyCertificates, _Mapping]]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PartyStatus(_message.Message):
    __slots__ = ("party", "connected", "software")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    party: str
    connected: bool
    software: str
    def __init__(self, party: _Optional[str] = ..., connected: bool = ..., software: _Optional[str] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("software", "parties", "jobs_running", "jobs_stored", "now_ms")
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    JOBS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    JOBS_STORED_FIELD_NUMBER: _ClassVar[int]
    NOW_MS_FIELD_NUMBER: _ClassVar[int]
    software: str
    parties: _containers.RepeatedCompositeFieldContainer[PartyStatus]
    jobs_running: int
    jobs_stored: int
    now_ms: int
    def __init__(self, software: _Optional[str] = ..., parties: _Optional[_Iterable[_Union[PartyStatus, _Mapping]]] = ..., jobs_running: _Optional[int] = ..., jobs_stored: _Optional[int] = ..., now_ms: _Optional[int] = ...) -> None: ...
