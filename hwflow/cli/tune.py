# SPDX-License-Identifier: Apache-2.0
"""``hwflow tune``: the folding that reaches a speed at least cost, or is fastest within a budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.converted import converted
from hwflow.cli.run import ConfigArgument, TrustFlag
from hwflow.errors import BudgetError, ConfigError, UserError

if TYPE_CHECKING:
    from hwflow.cost.cycles import Cycles
    from hwflow.cost.tune import Budget, Tuned, Tuner
    from hwflow.emit.design import Design
    from hwflow.tools.targets import Resources

_DEFAULT_TARGET = "xc7"
_FRAMES = 4


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is wanted: most cycles a frame, most cycles of latency, and in words."""

    interval: int | None
    latency: int | None
    words: str


@guarded
def tune(
    config: ConfigArgument,
    part: Annotated[
        str | None, typer.Option("--part", help="FPGA part whose resources are the budget, such as xc7z020.")
    ] = None,
    parts: Annotated[
        Path | None, typer.Option("--parts", metavar="FILE", help="YAML file with more parts.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="FAMILY", help="FPGA family where no part is named.  [default: xc7]"
        ),
    ] = None,
    fps: Annotated[float | None, typer.Option("--fps", min=1e-6, help="Least frames a second.")] = None,
    latency: Annotated[float | None, typer.Option("--latency", min=1e-6, help="Most latency, ms.")] = None,
    max_lut: Annotated[int | None, typer.Option("--max-lut", min=0, help="Most look-up tables.")] = None,
    max_dsp: Annotated[int | None, typer.Option("--max-dsp", min=0, help="Most multiplier blocks.")] = None,
    clock: Annotated[
        float | None, typer.Option("--clock", min=1, help="Clock, MHz.  [default: the design's]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="YAML to write.  [default: <CONFIG>-tuned.yaml beside it]"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Count the cycles of the new design exactly.")
    ] = False,
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Choose reuse factors and multiplication styles for a speed, or for a budget.

    With --fps or --latency the design of least cost that reaches them: the one that takes least of the tightest
    resource of the part. With only a part, or only the most of a resource, the fastest design within. Resources are
    predicted. Writes the design's YAML with the new folding. Exit code 5 when the goal is out of reach.
    """
    from hwflow.config.folding import to_yaml, with_folding
    from hwflow.config.load import load_config, parse_config, read_yaml
    from hwflow.cost.cycles import predict_cycles
    from hwflow.cost.tune import Tuner
    from hwflow.emit.design import build_design
    from hwflow.flow.cost import prepared_layers

    if fps is None and latency is None and part is None and max_lut is None and max_dsp is None:
        raise UserError(
            "there is nothing to tune for", "give --fps, --latency, --part, --max-dsp or --max-lut"
        )
    design = load_config(config)
    path = out or config.with_name(f"{config.stem}-tuned.yaml")
    _check_out(config, path, design.Hwflow.Model.Source, force=force)
    family, budget = _budget(part, parts, target, {"lut": max_lut, "dsp": max_dsp})
    mhz = clock or 1000 / design.ClockPeriod
    goal = _goal(fps, latency, mhz)
    run, graph = converted(config, trust=trust)
    log = run / "logs" / "timing.log"
    tuner = Tuner(graph, budget, family)
    tuned = _tuned(tuner, goal, log)
    cycles = predict_cycles(tuned.design, _FRAMES, log=log) if check else None
    factors = {name: option.reuse for name, option in tuned.options.items()}
    styles = {name: option.style for name, option in tuned.options.items()}
    data = with_folding(read_yaml(config), factors, styles, prepared_layers(run))
    if clock:
        data["ClockPeriod"] = 1000 / clock
    parse_config(data, str(path))
    remark = f"Folding by `hwflow tune`: {goal.words} at {mhz:g} MHz, {budget.title}."
    path.write_text(to_yaml(data, config.read_text(), remark))
    record = _record(tuner, build_design(graph), tuned, mhz, cycles) | {"out": str(path)}
    if as_json:
        emit_json(record)
    else:
        _show(record, goal, budget)
    if cycles and goal.interval and (cycles.ii or 0) > goal.interval:
        raise BudgetError(
            f"{goal.words} allows {goal.interval:,} cycles a frame, the new design takes {cycles.ii:,}",
            "lower the target a little",
        )


def _check_out(config: Path, path: Path, source: str, *, force: bool) -> None:
    """Refuse to write over a file, or where the design would not find its model."""
    if path.exists() and not force:
        raise ConfigError(f"{path} exists", "choose another --out, or write over it with --force")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", "make it, or choose another --out")
    beside = ":" in source or (config.parent / source).is_file()
    if beside and not Path(source).is_absolute() and path.parent.resolve() != config.parent.resolve():
        raise ConfigError(
            f"the design's model {source} lies relative to {config.parent}, which {path} would not find",
            f"choose an --out in {config.parent}",
        )


def _goal(fps: float | None, latency: float | None, mhz: float) -> _Goal:
    """The goal in cycles."""
    words = [f"{fps:,.10g} frames a second"] if fps else []
    words += [f"a latency of {latency:g} ms"] if latency else []
    return _Goal(
        int(mhz * 1e6 / fps) if fps else None,
        int(latency * mhz * 1e3) if latency else None,
        " and ".join(words) or "the fastest design",
    )


def _budget(
    code: str | None, file: Path | None, target: str | None, most: Mapping[str, int | None]
) -> tuple[str, Budget]:
    """FPGA family and budget: what a part holds, and what the user allows of it."""
    from hwflow.cost.parts import find_part, load_parts, parts, resource_names
    from hwflow.cost.tune import Budget
    from hwflow.tools import targets

    more = load_parts(file) if file else {}
    given = {name: count for name, count in most.items() if count is not None}
    title = (
        ["at most " + ", ".join(f"{count:,} {name.upper()}" for name, count in given.items())]
        if given
        else []
    )
    if code is None:
        family = targets.target(target or _DEFAULT_TARGET)
        members = [part for part in {**parts(), **more}.values() if part.target == family.name and part.lut]
        scale = max(members, key=lambda part: part.lut or 0)
        title = title or [f"measured by {scale.part}"]
        limits: dict[str, int] = {}
    else:
        scale = find_part(code, more)
        family = scale.family
        if target not in (None, family.name):
            raise UserError(
                f"{scale.part} is no part of {target}", f"leave out --target, or say {family.name}"
            )
        limits = {
            name: getattr(scale, name) for name in resource_names(scale) if getattr(scale, name) is not None
        }
        title = [scale.part, *title]
    held = {name: getattr(scale, name) or 0 for name in resource_names(scale)}
    limits |= {name: min(count, limits.get(name, count)) for name, count in given.items()}
    return family.name, Budget(
        limits, {name: count for name, count in held.items() if count}, ", ".join(title)
    )


def _tuned(tuner: Tuner, goal: _Goal, log: Path) -> Tuned:
    """The folding for a goal."""
    from hwflow.cost.cycles import predict_cycles

    def exact(design: Design) -> int:
        return predict_cycles(design, 1, log=log).latency

    if goal.latency is not None:
        return tuner.within_latency(goal.latency, goal.words, exact, goal.interval)
    return tuner.fastest() if goal.interval is None else tuner.reach(goal.interval, goal.words)


def _side(design: Design, resources: Resources, mhz: float) -> dict[str, Any]:
    """Figures of a whole design."""
    bound = design.plan.ii_bound
    return {
        "ii_bound_cycles": bound,
        "bottleneck": design.plan.bottleneck,
        "fps": mhz * 1e6 / bound,
        "multipliers": sum(folding.multipliers for folding in design.plan.folding.values()),
        "resources": asdict(resources),
    }


def _record(tuner: Tuner, before: Design, tuned: Tuned, mhz: float, cycles: Cycles | None) -> dict[str, Any]:
    """All figures, as JSON values."""
    from hwflow.cost.complexity import complexity

    old, total = before.graph.by_name(), complexity(tuned.graph).total("macs")
    layers = {}
    for name, option in tuned.options.items():
        layers[name] = {
            "reuse_factor": [old[name].reuse_factor, option.reuse],
            "mult_style": [str(old[name].attrs.get("mult_style", "auto")), option.style],
            "multipliers": [before.plan.folding[name].multipliers, option.multipliers],
            "cycles": option.cycles,
            "resources": asdict(option.resources),
        }
    after = _side(tuned.design, tuned.resources, mhz)
    if cycles:
        after |= {"ii_cycles": cycles.ii, "latency_cycles": cycles.latency}
    return {
        "clock_mhz": mhz,
        "target": tuner.target,
        "limits": dict(tuner.budget.limits),
        "before": _side(before, tuner.whole(before), mhz),
        "after": after,
        "layers": layers,
        "fewest_multipliers": tuned.fewest_multipliers,
        "macs_per_cycle": total / tuned.interval,
        "optimality_gap": tuned.gap,
    }


def _show(record: Mapping[str, Any], goal: _Goal, budget: Budget) -> None:
    """Tables of layers and of the whole design, before and after."""
    interval = record["after"]["ii_bound_cycles"]
    rows = [
        (
            name,
            *(_pair(row[key]) for key in ("reuse_factor", "mult_style", "multipliers")),
            f"{row['cycles']:,}",
            f"{100 * row['cycles'] / interval:.0f} %",
            *(f"{row['resources'][key]:,}" for key in ("lut", "ff", "dsp")),
        )
        for name, row in record["layers"].items()
    ]
    table(
        (
            "layer",
            ">reuse factor",
            ">style",
            ">multipliers",
            ">cycles",
            ">of interval",
            ">LUT",
            ">FF",
            ">DSP",
        ),
        rows,
    )
    sides = [record["before"], record["after"]]
    names = [name for name in budget.scale if any(side["resources"][name] for side in sides)]
    rows = [
        ("cycles a frame", *(f"{side['ii_bound_cycles']:,}" for side in sides), ""),
        ("frames a second", *(f"{side['fps']:,.1f}" for side in sides), ""),
        ("multipliers", *(f"{side['multipliers']:,}" for side in sides), ""),
        *(
            (
                name.upper(),
                *(f"{side['resources'][name]:,}" for side in sides),
                f"{budget.limits[name]:,}" if name in budget.limits else "",
            )
            for name in names
        ),
    ]
    table(("design", ">before", ">after", ">at most"), rows)
    after = record["after"]
    echo(
        f"{goal.words}: a frame every {interval:,} cycles, {after['fps']:,.1f} a second at "
        f"{record['clock_mhz']:g} MHz; no legal folding of this interval has fewer than "
        f"{record['fewest_multipliers']:,} multipliers, {record['macs_per_cycle']:,.1f} would be busy all the time"
    )
    if "ii_cycles" in after:
        echo(
            f"counted: a frame every {after['ii_cycles']:,} cycles, latency {after['latency_cycles']:,} cycles"
        )
    echo(f"design: {record['out']}")


def _pair(values: Any) -> str:
    before, after = (f"{value:,}" if isinstance(value, int) else str(value) for value in values)
    return after if before == after else f"{before} → {after}"
