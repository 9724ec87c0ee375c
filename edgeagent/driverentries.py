"""The shape of a driver file, before it is compared with the vocabulary of its kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgeagent.kindfiles import TextEntry
from edgeagent.tomlfile import Strict


def listed(value: Any) -> Any:  # noqa: ANN401 - whatever TOML gave
    """Make a list of what may stand alone."""
    return value if isinstance(value, list) else [value]


class Entry(Strict):
    """One source of a point."""

    oid: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()
    of: str | None = None
    walk: str | None = None
    below: str | None = None
    total: str | None = None
    holding: int | None = Field(default=None, ge=0, le=65535)
    input: int | None = Field(default=None, ge=0, le=65535)
    coil: int | None = Field(default=None, ge=0, le=65535)
    discrete: int | None = Field(default=None, ge=0, le=65535)
    host: str | None = None
    service: str | None = None
    ami: str | None = None
    field: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+:[A-Za-z0-9.-]+$")
    when: str | None = None
    type: Literal["int", "u16", "s16", "u32", "s32", "u64", "f32", "text"] | None = None
    count: int = Field(default=1, ge=1, le=125)
    scale: float = 1.0
    offset: float = 0.0
    enum: dict[str, str | bool] | None = None
    sentinels: dict[str, str] | None = None
    bits: tuple[int, int] | None = None
    bit: int | None = Field(default=None, ge=0, le=63)
    invert: bool = False
    word_order: Literal["big", "little"] | None = None
    decode: str | None = None
    map: dict[str, str] | tuple[tuple[str, ...], ...] | None = None
    alarm: str | None = None
    equals: Annotated[frozenset[int], BeforeValidator(listed)] | None = None
    valid: tuple[int, int] | None = None
    step: int | None = Field(default=None, ge=0, le=10_000)
    bit_step: int = Field(default=0, ge=0, le=16)
    unverified: bool = False


Entries = Annotated[tuple[Entry, ...], BeforeValidator(listed)]


def _ranges(value: Any) -> Any:  # noqa: ANN401 - whatever TOML gave
    return value if isinstance(value, list) and value and isinstance(value[0], list) else [value]


RangesEntry = Annotated[tuple[tuple[float, float], ...], BeforeValidator(_ranges)]


class IdentifyEntry(Strict):
    """One way to recognise a device."""

    rank: int = 0
    sys_object_ids: tuple[str, ...] = ()
    sys_descr: str | None = None
    requires: tuple[str, ...] = ()
    equals: dict[str, Annotated[frozenset[int], BeforeValidator(listed)]] = Field(default_factory=dict)
    texts: dict[str, str] = Field(default_factory=dict)
    between: dict[str, RangesEntry] = Field(default_factory=dict)
    absent: tuple[str, ...] = ()
    unless: dict[str, str] = Field(default_factory=dict)


class QuirksEntry(Strict):
    """How the family wants to be asked."""

    objects: int = Field(default=20, ge=1, le=100)
    registers: int = Field(default=64, ge=1, le=125)
    coils: int = Field(default=512, ge=1, le=2000)
    gap: int = Field(default=8, ge=0)
    pause_after_connect: float = Field(default=0.0, ge=0, le=10)
    frame_delay: float = Field(default=0.0, ge=0, le=10)
    timeout: float | None = Field(default=None, gt=0, le=30)
    groups: tuple[tuple[str, int], ...] = ()


class ChannelEntry(Strict):
    """Numbered inputs."""

    coil: int | None = Field(default=None, ge=0)
    discrete: int | None = Field(default=None, ge=0)
    count: int = Field(ge=1, le=256)


class UnitsEntry(Strict):
    """Units behind a gateway: the last one, and how many registers lie between two of them, by table."""

    last: int = Field(ge=1, le=255)
    holding: int = Field(default=0, ge=0, le=10_000)
    input: int = Field(default=0, ge=0, le=10_000)
    coil: int = Field(default=0, ge=0, le=10_000)
    discrete: int = Field(default=0, ge=0, le=10_000)


class VariantEntry(Strict):
    """Cards or firmware that differ."""

    sys_object_ids: tuple[str, ...] = ()
    texts: dict[str, str] = Field(default_factory=dict)
    between: dict[str, RangesEntry] = Field(default_factory=dict)
    scale: dict[str, float] = Field(default_factory=dict)
    omit: tuple[str, ...] = ()
    reason: Literal["not-fitted", "not-available", "sensor-fault"] = "not-fitted"


class DriverFile(Strict):
    """A driver file as it is written."""

    driver: str = Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")
    protocol: Literal["snmp", "modbus", "serial", "host", "service", "ami"]
    text: TextEntry
    source: str = Field(min_length=1)
    evidence: Literal["capture", "second-tool", "manual", "third-party"] = "third-party"
    models: tuple[str, ...] = ()
    unverified: bool = False
    fallback: str | None = None
    without: tuple[str, ...] = ()
    base: str = ""
    sentinels: dict[str, str] | str = Field(default_factory=dict)
    word_order: Literal["big", "little"] = "big"
    units: UnitsEntry | None = None
    identify: Annotated[tuple[IdentifyEntry, ...], BeforeValidator(listed)] = ()
    quirks: QuirksEntry = QuirksEntry()
    identity: dict[str, Entries] = Field(default_factory=dict)
    points: dict[str, Entries] = Field(default_factory=dict)
    channels: dict[str, ChannelEntry] = Field(default_factory=dict)
    variants: tuple[VariantEntry, ...] = ()
