from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Present(_message.Message):
    __slots__ = ("party", "setup_hash")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SETUP_HASH_FIELD_NUMBER: _ClassVar[int]
    party: str
    setup_hash: bytes
    def __init__(self, party: _Optional[str] = ..., setup_hash: _Optional[bytes] = ...) -> None: ...

class Vector(_message.Message):
    __slots__ = ("party", "spec_hash", "chunk_root", "number")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    CHUNK_ROOT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    party: str
    spec_hash: bytes
    chunk_root: bytes
    number: int
    def __init__(self, party: _Optional[str] = ..., spec_hash: _Optional[bytes] = ..., chunk_root: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...

class Total(_message.Message):
    __slots__ = ("spec_hash", "list_hash", "total_root")
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    LIST_HASH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ROOT_FIELD_NUMBER: _ClassVar[int]
    spec_hash: bytes
    list_hash: bytes
    total_root: bytes
    def __init__(self, spec_hash: _Optional[bytes] = ..., list_hash: _Optional[bytes] = ..., total_root: _Optional[bytes] = ...) -> None: ...
