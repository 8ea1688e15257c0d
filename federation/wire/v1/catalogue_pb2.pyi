from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_INTEGER: _ClassVar[Kind]
    KIND_REAL: _ClassVar[Kind]
    KIND_CATEGORY: _ClassVar[Kind]
    KIND_IDENTIFIER: _ClassVar[Kind]

class Outside(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTSIDE_UNSPECIFIED: _ClassVar[Outside]
    OUTSIDE_CLIP: _ClassVar[Outside]
    OUTSIDE_REFUSE: _ClassVar[Outside]
KIND_UNSPECIFIED: Kind
KIND_INTEGER: Kind
KIND_REAL: Kind
KIND_CATEGORY: Kind
KIND_IDENTIFIER: Kind
OUTSIDE_UNSPECIFIED: Outside
OUTSIDE_CLIP: Outside
OUTSIDE_REFUSE: Outside

class Number(_message.Message):
    __slots__ = ("integer", "real")
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    integer: int
    real: float
    def __init__(self, integer: _Optional[int] = ..., real: _Optional[float] = ...) -> None: ...

class MissingCode(_message.Message):
    __slots__ = ("code", "reason")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Level(_message.Message):
    __slots__ = ("name", "of")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    name: str
    of: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., of: _Optional[_Iterable[str]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "kind", "unit", "low", "high", "categories", "missing", "outside", "levels")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    OUTSIDE_FIELD_NUMBER: _ClassVar[int]
    LEVELS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: Kind
    unit: str
    low: Number
    high: Number
    categories: _containers.RepeatedScalarFieldContainer[str]
    missing: _containers.RepeatedCompositeFieldContainer[MissingCode]
    outside: Outside
    levels: _containers.RepeatedCompositeFieldContainer[Level]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[Kind, str]] = ..., unit: _Optional[str] = ..., low: _Optional[_Union[Number, _Mapping]] = ..., high: _Optional[_Union[Number, _Mapping]] = ..., categories: _Optional[_Iterable[str]] = ..., missing: _Optional[_Iterable[_Union[MissingCode, _Mapping]]] = ..., outside: _Optional[_Union[Outside, str]] = ..., levels: _Optional[_Iterable[_Union[Level, _Mapping]]] = ...) -> None: ...

class Publication(_message.Message):
    __slots__ = ("party", "name", "title", "unit", "columns", "k", "own_figures", "version", "dominance")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    OWN_FIGURES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOMINANCE_FIELD_NUMBER: _ClassVar[int]
    party: str
    name: str
    title: str
    unit: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    k: int
    own_figures: bool
    version: str
    dominance: int
    def __init__(self, party: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., unit: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., k: _Optional[int] = ..., own_figures: bool = ..., version: _Optional[str] = ..., dominance: _Optional[int] = ...) -> None: ...
