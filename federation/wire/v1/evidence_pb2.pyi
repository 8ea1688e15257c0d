from federation.wire.v1 import signed_pb2 as _signed_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvidenceRecord(_message.Message):
    __slots__ = ("message", "chunk", "sum")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    message: _signed_pb2.Signed
    chunk: bytes
    sum: OpenedSum
    def __init__(self, message: _Optional[_Union[_signed_pb2.Signed, _Mapping]] = ..., chunk: _Optional[bytes] = ..., sum: _Optional[_Union[OpenedSum, _Mapping]] = ...) -> None: ...

class OpenedSum(_message.Message):
    __slots__ = ("attempt", "total_leaves")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LEAVES_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    total_leaves: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, attempt: _Optional[int] = ..., total_leaves: _Optional[_Iterable[bytes]] = ...) -> None: ...
