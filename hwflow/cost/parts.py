# SPDX-License-Identifier: Apache-2.0
"""FPGA parts: what each holds, from a data file with the source of every row, and a user's own in YAML."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from hwflow.errors import ConfigError, did_you_mean
from hwflow.tools.targets import TARGETS, Resources, Target

_DATA = "data/fpga_parts.csv"
_COUNTS = ("lut", "ff", "dsp", "bram18", "bram", "uram")


class Part(BaseModel):
    """An FPGA part.

    Parameters
    ----------
    part : str
        Ordering code without package and speed grade.
    vendor : str
        Who makes it.
    target : str
        Family that synthesis knows, a key of :data:`hwflow.tools.targets.TARGETS`.
    lut, ff, dsp, bram18, bram, uram : int or None
        What it holds: look-up tables, flip-flops, multipliers, block memories in units of 18 Kb and in native
        ones, UltraRAMs. None where no source was found.
    source, note : str
        Where the figures come from, and how far to trust them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    part: str = Field(pattern=r"^[a-z0-9-]+$")
    vendor: str = ""
    target: str
    lut: int | None = Field(None, ge=0)
    ff: int | None = Field(None, ge=0)
    dsp: int | None = Field(None, ge=0)
    bram18: int | None = Field(None, ge=0)
    bram: int | None = Field(None, ge=0)
    uram: int | None = Field(None, ge=0)
    source: str
    note: str = ""

    @property
    def family(self) -> Target:
        """What synthesis calls the family."""
        return TARGETS[self.target]


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one kind of resource a design takes of a part.

    Parameters
    ----------
    resource : str
        ``lut``, ``ff``, ``dsp``, ``bram18`` …
    used : int
        What the design needs.
    available : int or None
        What the part holds; None where that is not known.
    """

    resource: str
    used: int
    available: int | None

    @property
    def fits(self) -> bool | None:
        """Whether it is enough; None where that cannot be told."""
        if self.available is None:
            return None if self.used else True
        return self.used <= self.available

    @property
    def share(self) -> float | None:
        """Share of what the part holds; None where that is not known."""
        if not self.available:
            return None if self.available is None else float("inf") if self.used else 0.0
        return self.used / self.available


def resource_names(part: Part) -> tuple[str, ...]:
    """Resources that a part is counted by: block memories in units of 18 Kb, or native ones where they are smaller."""
    blocks = "bram" if part.family.native_bram else "bram18"
    return ("lut", "ff", "dsp", blocks, *(("uram",) if part.family.uram else ()))


def uses(part: Part, needed: Resources) -> list[Use]:
    """What a design takes of a part, resource by resource."""
    return [Use(name, getattr(needed, name), getattr(part, name)) for name in resource_names(part)]


def fits(part: Part, needed: Resources) -> bool | None:
    """Whether a design fits a part; None where a figure of the part is missing and nothing else decides."""
    verdicts = [use.fits for use in uses(part, needed)]
    return False if False in verdicts else None if None in verdicts else True


@cache
def parts() -> Mapping[str, Part]:
    """The built-in parts by name."""
    text = resources.files("hwflow.cost").joinpath(_DATA).read_text()
    rows = csv.DictReader(text.splitlines())
    found = [Part.model_validate({key: value or None for key, value in row.items() if value}) for row in rows]
    return {part.part: part for part in found}


def load_parts(path: Path) -> Mapping[str, Part]:
    """A user's parts: a YAML list of mappings with the fields of :class:`Part`.

    Raises
    ------
    ConfigError
        When the file cannot be read or an entry is wrong.
    """
    remedy = "write a list of entries with part, target, lut, ff, dsp, bram18 and source"
    try:
        entries = TypeAdapter(list[Part]).validate_python(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise ConfigError(f"the parts file {path} cannot be read: {error.strerror}", remedy) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the parts file {path} is no YAML: {error}", remedy) from error
    except ValidationError as error:
        findings = "".join(f"\n  - {_finding(entry)}" for entry in error.errors(include_url=False))
        raise ConfigError(f"the parts file {path} is wrong:{findings}", remedy) from error
    for entry in entries:
        if entry.target not in TARGETS:
            raise ConfigError(
                f"the parts file {path}: part {entry.part} has the unknown target {entry.target!r}",
                did_you_mean(entry.target, TARGETS),
            )
    return {entry.part: entry for entry in entries}


def _finding(entry: ErrorDetails) -> str:
    """What is wrong at one place of a parts file."""
    number, *keys = entry["loc"] or ("",)
    where = f"entry {number + 1}" if isinstance(number, int) else "the file"
    where += f", {keys[0]}" if keys else ""
    if entry["type"] == "extra_forbidden":
        return f"{where}: unknown key; {did_you_mean(str(keys[0]), Part.model_fields)}"
    return f"{where}: {entry['msg']}"


def find_part(code: str, more: Mapping[str, Part] | None = None) -> Part:
    """The part of an ordering code, package and speed grade left out or not.

    Parameters
    ----------
    code : str
        For example ``xc7z020`` or ``xc7z020clg400-1``.
    more : mapping of str to Part, optional
        A user's parts; they come before the built-in ones.

    Raises
    ------
    ConfigError
        When the part is not known; with the nearest names.

    Examples
    --------
    >>> find_part("XC7Z020clg400-1").dsp
    220
    """
    known = {**parts(), **(more or {})}
    name = code.lower()
    matches = [part for part in known if name == part or name.startswith(part)]
    if not matches:
        raise ConfigError(
            f"the part {code!r} is not known",
            f"{did_you_mean(name, known)}; a YAML file of parts can add others",
        )
    return known[max(matches, key=len)]
