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
    __slots__ = ("signed", "parts")
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    signed: Signed
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, signed: _Optional[_Union[Signed, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("data", "blob", "size_bytes")
    DATA_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    blob: bytes
    size_bytes: int
    def __init__(self, data: _Optional[bytes] = ..., blob: _Optional[bytes] = ..., size_bytes: _Optional[int] = ...) -> None: ...
