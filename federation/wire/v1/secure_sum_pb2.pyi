from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Advert(_message.Message):
    __slots__ = ("party", "setup_hash", "mask_pk")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    MASK_PK_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    mask_pk: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ..., mask_pk: _Optional[bytes] = ...) -> None: ...

class Head(_message.Message):
    __slots__ = ("party", "spec_hash", "u2_hash", "chunk_root", "length")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    U2_HASH_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROOT_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    u2_hash: bytes
    chunk_root: bytes
    length: int
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., u2_hash: _Optional[bytes] = ..., chunk_root: _Optional[bytes] = ..., length: _Optional[int] = ...) -> None: ...

class Bundle(_message.Message):
    __slots__ = ("job_hash", "round_index", "round_digest", "total_digest", "messages", "chunk_counts")
    JOB_HASH_FIELD_NUMBER: _ClassVar[int]
    ROUND_INDEX_FIELD_NUMBER: _ClassVar[int]
    ROUND_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_COUNTS_FIELD_NUMBER: _ClassVar[int]
    job_hash: bytes
    round_index: int
    round_digest: bytes
    total_digest: bytes
    messages: _containers.RepeatedCompositeFieldContainer[_signed_pb2.Signed]
    chunk_counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, job_hash: _Optional[bytes] = ..., round_index: _Optional[int] = ..., round_digest: _Optional[bytes] = ..., total_digest: _Optional[bytes] = ..., messages: _Optional[_Iterable[_Union[_signed_pb2.Signed, _Mapping]]] = ..., chunk_counts: _Optional[_Iterable[int]] = ...) -> None: ...
