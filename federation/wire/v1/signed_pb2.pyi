from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Signed(_message.Message):
    __slots__ = ("body", "key_id", "signature", "domain")
    BODY_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    key_id: bytes
    signature: bytes
    domain: str
    def __init__(self, body: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., domain: _Optional[str] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("signed", "parts", "blob", "blob_bytes", "job_hash", "round_index", "attempt", "to")
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    signed: Signed
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    blob: bytes
    blob_bytes: int
    job_hash: bytes
    round_index: int
    attempt: int
    to: str
    def __init__(self, signed: _Optional[_Union[Signed, _Mapping]] = ..., parts: _Optional[_Iterable[bytes]] = ..., blob: _Optional[bytes] = ..., blob_bytes: _Optional[int] = ..., job_hash: _Optional[bytes] = ..., round_index: _Optional[int] = ..., attempt: _Optional[int] = ..., to: _Optional[str] = ...) -> None: ...
