# SPDX-License-Identifier: Apache-2.0
"""``python -m hwflow.cost.mcu_report FOLDER``: how well the cost model of microcontrollers predicts, as ``mcu.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hwflow.cost.architectures import ARCHITECTURES
from hwflow.cost.mcu import latency, load_mcu, mcus, table_flash, table_ram
from hwflow.cost.mcu_latency import Row, committed, hold_out, median_error, published, vendor

TARGET = 0.15

# The int8 and float network of a hybrid binary design on an STM32H743ZI (S. Moro, C. Marchisio, V. D'Alto, "Face
# Recognition with hybrid binary network", tables 1 and 3): never part of a fit.
HYBRID, HYBRID_MCU = "mobilenet-v2-0.5-96x96x3-128", "STM32H743ZI"
HYBRID_RUNTIME = "X-CUBE-AI 7.3.0"  # the oldest published one of that maker
_KB, _MB = 1024, 1024**2
#: Convolutions only, and dense layers only.
_PAIR = ("resnet8-32x32x3", "autoencoder-640")


def report() -> str:
    """The report as Markdown."""
    held = hold_out()
    parts = (_intro(), _latency(held), _hybrid(), _memory(), _targets())
    return "\n".join([line for part in parts for line in part] + [""])


def _intro() -> Iterator[str]:
    yield "# Cost model of microcontrollers"
    yield ""
    yield "Made by `make reports` (`python -m hwflow.cost.mcu_report reports`) from the rows in"
    yield "`hwflow/cost/data/mcu_published.csv`, each with its source. How flash and RAM of the emitted C compare"
    yield "with the ELF is in `mcu-emission.md`."
    yield ""


def _by(held: Iterable[tuple[Row, float]], maker: bool) -> dict[str, list[tuple[Row, float]]]:
    found: dict[str, list[tuple[Row, float]]] = {}
    for row, error in held:
        found.setdefault(vendor(row.runtime) if maker else row.runtime, []).append((row, error))
    return dict(sorted(found.items()))


def _latency(held: list[tuple[Row, float]]) -> Iterator[str]:
    yield "## Latency of held-out model groups"
    yield ""
    yield "A group is an architecture family in every size, runtime and version. Each row is predicted by a fit that"
    yield "has seen no row of its group. Where a runtime has published only two groups (MLPerf Tiny's autoencoder and"
    yield "ResNet), either is predicted from the other alone and from what holds for all runtimes."
    yield ""
    yield "| runtime | rows | groups | median error | largest | within 15 % |"
    yield "|---|---:|---:|---:|---:|---|"
    for name, some in _by(held, maker=False).items():
        yield _summary(name, some)
    errors = [error for _, error in held]
    yield (
        f"| **all** | {len(held)} | {len({row.group for row, _ in held})} | {100 * median_error(errors):.1f} % "
        f"| {100 * max(map(abs, errors)):.0f} % | nine in ten within "
        f"{100 * float(np.quantile(np.abs(errors), 0.9)):.0f} % |"
    )
    yield ""
    yield from _misses(held)
    yield "By maker of the runtime:"
    yield ""
    yield "| maker | rows | groups | median error | largest | within 15 % |"
    yield "|---|---:|---:|---:|---:|---|"
    for name, some in _by(held, maker=True).items():
        yield _summary(name, some)
    yield ""
    yield "Rows:"
    yield ""
    yield "| network | precision | part | clock, MHz | runtime | published, ms | predicted, ms | error |"
    yield "|---|---|---|---:|---|---:|---:|---:|"
    for row, error in held:
        assert row.latency_ms is not None
        yield (
            f"| {row.architecture} | {row.precision} | {row.mcu} | {row.clock_mhz:g} | {row.runtime} "
            f"| {row.latency_ms:.4g} | {row.latency_ms * (1 + error):.4g} | {100 * error:+.1f} % |"
        )
    yield ""


def _summary(name: str, some: list[tuple[Row, float]]) -> str:
    errors = [error for _, error in some]
    median = median_error(errors)
    return (
        f"| {name} | {len(some)} | {len({row.group for row, _ in some})} | {100 * median:.1f} % "
        f"| {100 * max(map(abs, errors)):.0f} % | {'yes' if median <= TARGET else 'no'} |"
    )


def _misses(held: list[tuple[Row, float]]) -> Iterator[str]:
    """What the runtimes that are predicted worse than wanted have in common."""
    rows = _by(held, maker=False)
    ratios = {name: found for name, some in rows.items() if (found := _ratios(row for row, _ in some))}
    missed = [name for name, some in rows.items() if median_error(error for _, error in some) > TARGET]
    if not ratios.keys() & set(missed):
        return
    kept = sorted(ratio for name, some in ratios.items() if name not in missed for ratio in some)
    yield "The runtimes beyond 15 % have published both groups of MLPerf Tiny and nothing else. A layer's time is its"
    yield "multiply-accumulates times a cost of its type, and only these two groups tell the costs of a runtime's two"
    yield "types apart: to predict either from the other, their ratio must come from the other runtimes. Cycles a"
    yield "multiply-accumulate of the convolutions over those of the dense layers, on the same part:"
    yield ""
    yield "| runtime | ratio, part by part |"
    yield "|---|---|"
    for name in missed:
        yield f"| {name} | {', '.join(f'{ratio:.2f}' for ratio in ratios.get(name, ()))} |"
    yield f"| the others | {kept[0]:.2f} to {kept[-1]:.2f}, median {float(np.median(kept)):.2f} |"
    yield ""
    yield "Nothing in the rows tells a runtime's ratio beforehand, so that without the group the error is that of the"
    yield "ratio. The fit of all rows, which the product carries, knows it."
    yield ""


def _ratios(rows: Iterable[Row]) -> list[float]:
    """Cycles a multiply-accumulate of MLPerf Tiny's ResNet over those of its autoencoder, by part."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.architecture in _PAIR and row.precision == "int8":
            macs = ARCHITECTURES[row.architecture]().macs
            found.setdefault(row.mcu, {})[row.architecture] = row.cycles / macs
    return [both[_PAIR[0]] / both[_PAIR[1]] for both in found.values() if len(both) == len(_PAIR)]


def _hybrid() -> Iterator[str]:
    table, mcu = ARCHITECTURES[HYBRID](), load_mcu(HYBRID_MCU)
    int8 = latency(table, mcu, HYBRID_RUNTIME)
    real = latency(table, mcu, HYBRID_RUNTIME, "float")
    yield "## Rows never fitted: MobileNetV2 0.5, 96 x 96, 128 outputs on an STM32H743ZI"
    yield ""
    yield "From the paper on the hybrid binary network (MNv2_i8, MNv2_FP). It does not name the runtime's version;"
    yield f"predicted for {HYBRID_RUNTIME}, the oldest published one. RAM: the planner with outputs that run over"
    yield "inputs, and without and the input apart; which of the two a runtime's version does is not published."
    yield ""
    yield "| figure | published | predicted | error |"
    yield "|---|---:|---:|---:|"

    def row(title: str, known: float, unit: str, value: float) -> str:
        return f"| {title} | {known:g} {unit} | {value:.4g} {unit} | {100 * (value / known - 1):+.1f} % |"

    yield row("MACC (MACs, biases and rectifiers an element)", 19, "M", table.st_macc / 1e6)
    yield row("int8: flash (weights)", 850, "KB", table_flash(table, 1) / _KB)
    yield row("int8: RAM, input apart", 163, "KB", table_ram(table, 1, overlay=False, input_apart=True) / _KB)
    yield row("int8: RAM, outputs over inputs", 163, "KB", table_ram(table, 1) / _KB)
    assert int8.ms is not None and real.ms is not None
    yield row("int8: latency", 98, "ms", int8.ms)
    yield row("float: flash (weights)", 3.27, "MB", table_flash(table, 4) / _MB)
    yield row(
        "float: RAM, input apart", 477, "KB", table_ram(table, 4, overlay=False, input_apart=True) / _KB
    )
    yield row("float: RAM, outputs over inputs", 477, "KB", table_ram(table, 4) / _KB)
    yield f"| float: latency | not published | {real.ms:.4g} ms | |"
    yield ""


def _memory() -> Iterator[str]:
    yield "## Memory of published networks"
    yield ""
    yield "Flash: 8-bit weights and 32-bit biases. RAM: the planner, outputs over inputs for versions 7.3 and 8.1, one"
    yield "tensor beside the other for 10.0, as those figures suggest; runtimes add buffers of their own that the"
    yield "planner does not know."
    yield ""
    yield "| network | runtime | weights, bytes | predicted | error | activations, bytes | predicted | error |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|"
    flash_errors, ram_errors = [], []
    for row in published():
        if row.weights is None or row.activations is None:
            continue
        table = ARCHITECTURES[row.architecture]()
        flash, ram = table_flash(table, 1), table_ram(table, 1, overlay="10.0" not in row.runtime)
        flash_errors.append(flash / row.weights - 1)
        ram_errors.append(ram / row.activations - 1)
        yield (
            f"| {row.architecture} | {row.runtime} | {row.weights:,.0f} | {flash:,} | {100 * flash_errors[-1]:+.2f} % "
            f"| {row.activations:,.0f} | {ram:,} | {100 * ram_errors[-1]:+.0f} % |"
        )
    yield ""
    yield (
        f"Median error: weights {100 * median_error(flash_errors):.2f} %, "
        f"activations {100 * median_error(ram_errors):.0f} %."
    )
    yield ""


def _targets() -> Iterator[str]:
    yield "## Targets"
    yield ""
    yield "| part | core | clock, MHz | flash, bytes | RAM, bytes | latency calibrated |"
    yield "|---|---|---:|---:|---:|---|"
    cores = {name.removeprefix("core.") for name in committed()["values"] if name.startswith("core.")}
    for mcu in mcus().values():
        flash, ram = (
            "" if figure.value is None else f"{int(figure.value):,}"
            for figure in (mcu.flash_bytes, mcu.ram_bytes)
        )
        calibrated = "yes" if mcu.core in cores else "no: no published figure of this core"
        yield f"| {mcu.name} | {mcu.core} | {mcu.clock_mhz.value:g} | {flash} | {ram} | {calibrated} |"


def main() -> None:
    """Write the report."""
    folder = Path(sys.argv[1])
    (folder / "mcu.md").write_text(report())


if __name__ == "__main__":
    main()
