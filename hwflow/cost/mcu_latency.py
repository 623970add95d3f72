# SPDX-License-Identifier: Apache-2.0
"""Latency of networks on microcontrollers, by layer type, calibrated on published figures.

Model: ``cycles = core * runtime * sum over terms of work * cost``, where the terms are multiply-accumulates of each
layer type, output elements (requantization), elements of element-wise layers, and layers. Every factor has a prior
(mean and spread of its logarithm) and is fitted to all published rows together by Gauss-Newton, so that a runtime
with few rows borrows from the others: the ratio of a dense layer to a convolution from all, its speed from its own.

A prediction of rows whose model group (same architecture family, in whatever size and runtime) took no part in the
fit tells the error to expect; :func:`hold_out` gives them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from hwflow.cost.architectures import ARCHITECTURES, LayerTable
from hwflow.tools.paths import package_dir

DATA = package_dir() / "cost" / "data"
PUBLISHED = DATA / "mcu_published.csv"
COEFFICIENTS = DATA / "mcu_latency.yaml"

# Mean (as a factor) and spread (of the logarithm). A MAC of a convolution on a Cortex-M7 is the unit. The emitted
# kernels take 1.4 times its instructions where a single pixel shares no weights (dense), 2.7 times where no channels
# do (depthwise; see mcu_kernels.yaml). The other means are round figures; the spreads say how far runtimes may differ.
_TERMS = {
    "pointwise": (1.0, 0.25),
    "depthwise": (2.2, 0.4),
    "dense": (1.45, 0.1),
    "output": (6.0, 0.6),
    "elementwise": (2.0, 0.7),
    "layer": (1000.0, 0.8),
}
_CORES = {
    "cortex-m7": (1.0, 0.3),
    "cortex-m4": (1.6, 0.3),
    "cortex-m33": (1.4, 0.3),
    "cortex-m0+": (8.0, 0.6),
}
_RUNTIME_SPREAD, _DENSE_SPREAD = 0.35, 0.2
_FLOAT = {"macs": (3.0, 0.3), "dense": (3.0, 0.3)}
_SIGMA = 0.06
_STEPS = 25

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """A published figure.

    Parameters
    ----------
    architecture : str
        Key of :data:`hwflow.cost.architectures.ARCHITECTURES`.
    precision, mcu, core, runtime, source : str
        What was measured, and where it is published.
    clock_mhz, latency_ms : float or None
        Clock and time of one inference.
    flash, weights, ram, activations : float or None
        Published memory, bytes.
    """

    architecture: str
    precision: str
    mcu: str
    core: str
    runtime: str
    source: str
    clock_mhz: float | None
    latency_ms: float | None
    flash: float | None
    weights: float | None
    ram: float | None
    activations: float | None

    @property
    def group(self) -> str:
        """Architecture family: rows of one group are not independent."""
        return family(self.architecture)

    @property
    def cycles(self) -> float:
        """Clock cycles of one inference."""
        assert self.latency_ms is not None and self.clock_mhz is not None
        return self.latency_ms * self.clock_mhz * 1e3


def family(architecture: str) -> str:
    """Family of an architecture.

    Examples
    --------
    >>> family("st-fd-mobilenet-v1-128x128x3"), family("mobilenet-v2-0.35-128x128x3-5")
    ('fd-mobilenet', 'mobilenet-v2')
    """
    names = ("fd-mobilenet", "mobilenet-v1", "mobilenet-v2", "squeezenet", "miniresnet", "st-mnist")
    return next((name for name in names if name in architecture), architecture.split("-")[0])


def vendor(runtime: str) -> str:
    """Maker of a runtime, whose versions share their kernels' habits."""
    if runtime.startswith("X-CUBE-AI"):
        return "ST"
    return runtime.rsplit(" ", 1)[0].removesuffix(" MLPerf")


@cache
def published() -> tuple[Row, ...]:
    """The rows the product carries."""

    def number(text: str) -> float | None:
        return float(text) if text else None

    with PUBLISHED.open(newline="") as stream:
        return tuple(
            Row(
                row["architecture"],
                row["precision"],
                row["mcu"],
                row["core"],
                row["runtime"],
                row["source"],
                number(row["clock_mhz"]),
                number(row["latency_ms"]),
                number(row["flash_bytes"]),
                number(row["weights_flash_bytes"]),
                number(row["ram_bytes"]),
                number(row["activation_ram_bytes"]),
            )
            for row in csv.DictReader(stream)
        )


def timed() -> list[Row]:
    """Rows with a latency."""
    return [row for row in published() if row.latency_ms is not None]


def terms(table: LayerTable) -> dict[str, float]:
    """Work of a network by term of the model."""
    found = dict.fromkeys(("conv", *_TERMS), 0.0)
    for layer in table.layers:
        if layer.type == "elementwise":
            found["elementwise"] += layer.inputs
        else:
            found[layer.type] += layer.macs
            found["output"] += layer.outputs
        found["layer"] += 1
    return found


@cache
def _published_terms(architecture: str) -> dict[str, float]:
    return terms(ARCHITECTURES[architecture]())


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Fitted factors.

    Parameters
    ----------
    values : dict of str to float
        Logarithms, by names such as ``term.dense`` or ``runtime.plumerai v1.1``.
    """

    values: dict[str, float]

    def cycles(self, work: dict[str, float], core: str, runtime: str, *, is_float: bool = False) -> float:
        """Cycles of one inference; an unknown runtime takes the mean of all."""
        value = self.values
        total = 0.0
        for name, amount in work.items():
            exponent = value.get(f"term.{name}", 0.0)
            if name == "dense":
                exponent += value.get(f"dense.{vendor(runtime)}", 0.0)
            if is_float:
                exponent += value["float.dense" if name == "dense" else "float.macs"]
            total += amount * float(np.exp(exponent))
        return total * float(np.exp(value[f"core.{core}"] + value.get(f"runtime.{runtime}", 0.0)))


def fit(rows: Sequence[Row]) -> Coefficients:
    """Most likely factors given rows with a latency, and the priors."""
    everything = timed()
    priors = {f"term.{name}": (np.log(mean), spread) for name, (mean, spread) in _TERMS.items()}
    priors |= {f"core.{name}": (np.log(mean), spread) for name, (mean, spread) in _CORES.items()}
    priors |= {f"float.{name}": (np.log(mean), spread) for name, (mean, spread) in _FLOAT.items()}
    priors |= {f"runtime.{row.runtime}": (0.0, _RUNTIME_SPREAD) for row in everything}
    priors |= {f"dense.{vendor(row.runtime)}": (0.0, _DENSE_SPREAD) for row in everything}
    names = sorted(priors)
    mean = np.array([priors[name][0] for name in names])
    spread = np.array([priors[name][1] for name in names])
    observed = np.log([row.cycles for row in rows])

    def predicted(vector: Vector) -> Vector:
        model = Coefficients(dict(zip(names, vector, strict=True)))
        return np.log([_cycles(model, row) for row in rows])

    vector = mean.copy()
    for _ in range(_STEPS):
        here = predicted(vector)
        shifts = 1e-5 * np.eye(len(names))
        jacobian = np.stack([(predicted(vector + shift) - here) / 1e-5 for shift in shifts], axis=1)
        matrix = np.vstack([jacobian / _SIGMA, np.diag(1 / spread)])
        target = np.concatenate([(observed - here) / _SIGMA, (mean - vector) / spread])
        step = np.clip(np.linalg.lstsq(matrix, target, rcond=None)[0], -1, 1)
        vector = vector + step
        if np.abs(step).max() < 1e-6:
            break
    return Coefficients(dict(zip(names, vector.tolist(), strict=True)))


def _cycles(model: Coefficients, row: Row) -> float:
    is_float = row.precision.startswith("float")
    return model.cycles(_published_terms(row.architecture), row.core, row.runtime, is_float=is_float)


def hold_out(rows: Sequence[Row] | None = None) -> list[tuple[Row, float]]:
    """For each row the relative error of its prediction by a fit without its group."""
    rows = timed() if rows is None else rows
    found = []
    for group in sorted({row.group for row in rows}):
        model = fit([row for row in rows if row.group != group])
        found += [(row, _cycles(model, row) / row.cycles - 1) for row in rows if row.group == group]
    return found


def median_error(errors: Iterable[float]) -> float:
    """Median of the magnitudes."""
    return float(np.median(np.abs(list(errors))))


def calibrate() -> dict[str, Any]:
    """Fit all rows and write the coefficients, with the held-out error of each runtime and of all."""
    held = hold_out()
    by_runtime: dict[str, list[float]] = {}
    for row, error in held:
        by_runtime.setdefault(row.runtime, []).append(error)
    found = {
        "values": {name: round(value, 5) for name, value in fit(timed()).values.items()},
        "error": {name: round(median_error(errors), 4) for name, errors in sorted(by_runtime.items())},
        "error_all": round(median_error(error for _, error in held), 4),
        "error_90": round(float(np.quantile(np.abs([error for _, error in held]), 0.9)), 4),
    }
    header = (
        "# Logarithms of factors, and held-out median errors; made by hwflow.cost.mcu_latency.calibrate.\n"
    )
    COEFFICIENTS.write_text(
        f"# SPDX-License-Identifier: Apache-2.0\n{header}{yaml.safe_dump(found, sort_keys=True)}"
    )
    committed.cache_clear()
    return found


@cache
def committed() -> dict[str, Any]:
    """The committed coefficients and errors."""
    found: dict[str, Any] = yaml.safe_load(COEFFICIENTS.read_text())
    return found
