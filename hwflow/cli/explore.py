# SPDX-License-Identifier: Apache-2.0
"""``hwflow explore``: many designs weighed by prediction, the best ones written and proven."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwflow.cli.common import JsonFlag, echo, emit_json, guarded, table
from hwflow.cli.run import TrustFlag, execute, show_progress
from hwflow.errors import ConfigError, HwflowError, UserError, VerificationError
from hwflow.files import write_text

if TYPE_CHECKING:
    from hwflow.explore.schema import StudyConfig
    from hwflow.records import DesignRecord, ProofRecord, StudyRecord

#: Verdict on a design that Python, C++ and RTL agree on.
EXACT = "exact"
#: Kinds of failures that are told.
_REASONS = 3
FRONT, RESULT, TEXT = "front", "study.json", "study.md"
#: Figures of a design's run that are kept with the study.
_PROVEN = ("verify.*", "rtl.*", "faces.accuracy*", "embedding.*", "synth.*", "sim.rtl.*")


@guarded
def explore(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of a study.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of the study.  [default: runs/<name of STUDY>]"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Designs, in place of the study's.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes of this machine, or jobs.  [default: all cores]"),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler to use instead.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="Optuna storage.  [default: SQLite in the folder]"),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster", metavar="QUEUE", help="Give jobs to a queueing system instead: slurm, lsf, pbs ..."
        ),
    ] = None,
    cluster_config: Annotated[
        Path | None,
        typer.Option("--cluster-config", metavar="YAML", help="Cores, memory, walltime ... of such a job."),
    ] = None,
    verify: Annotated[
        str,
        typer.Option(
            "--verify",
            metavar="N|front",
            help="Designs of the front to run (C++, RTL, comparison): so many, or all.",
        ),
    ] = "0",
    trust: TrustFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Weigh many designs and keep those that no other one beats.

    Each design's cost is predicted first; quality is computed only where part and limits allow. A study that was killed
    goes on with what it knows. The designs of the front are written as YAML that `hwflow run` takes; --verify runs
    all of them, or so many that are spread over the front, and says of each whether the hardware is exact.
    """
    from hwflow.config.load import load_config
    from hwflow.explore.clusters import Place, read_options
    from hwflow.explore.schema import load_study
    from hwflow.explore.study import explore as weigh
    from hwflow.explore.study import front
    from hwflow.records import StudyRecord
    from hwflow.report.render import render_designs

    wanted = _wanted(verify)
    place = Place(workers or len(os.sched_getaffinity(0)), scheduler, cluster, read_options(cluster_config))
    config = load_study(study)
    if trials is not None:
        config = config.model_copy(update={"Trials": trials})
    base = study.parent / config.Base
    if not base.is_file():
        raise ConfigError(
            f"{study}: Base names {config.Base}, but there is no {base}", "give the path from the study"
        )
    load_config(base)
    folder = out or Path("runs") / study.stem
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, not the folder of a study", "choose another --out")
    with ExitStack() as stack:
        progress = show_progress(stack)

        def track(numbers: Iterable[int], count: int) -> Iterable[int]:
            return progress.track(numbers, count, "designs")

        explored = weigh(config, base, folder, place=place, storage=storage, trust=trust, track=track)
    found = explored.designs
    best = front(config, found)
    record = StudyRecord(
        name=study.stem,
        objectives=config.Objectives,
        designs=found,
        front=[design.number for design in best],
        definition=config.model_dump(mode="json"),
        sessions=explored.sessions,
        provenance=_provenance(study, base),
    )
    paths = _written(best, base, folder)
    chosen = _spread(best, wanted)
    for design in [None, *chosen]:  # what is known is on disk before and after each run
        if design is not None:
            number = str(design.number)
            record.verified[number], record.proofs[number] = _proven(paths[design.number], trust=trust)
        write_text(folder / RESULT, json.dumps(record.model_dump(), indent=1) + "\n")
        write_text(folder / TEXT, _markdown(study.stem, config, found, best, record.verified))
    report = render_designs([folder], folder)
    failures = Counter(design.reason for design in found if design.state == "failed")
    most = failures.most_common(_REASONS)
    if failures.total() == len(found):
        raise UserError(
            f"all {len(found)} designs failed: {most[0][0]}", f"see {report}; mend the study's base"
        )
    if as_json:
        emit_json(record.model_dump() | {"folder": str(folder), "report": str(report)})
    else:
        _summary(config, record, best, folder, report, most)
    if unproven := {number: verdict for number, verdict in record.verified.items() if verdict != EXACT}:
        number, verdict = next(iter(unproven.items()))
        raise VerificationError(
            f"{len(unproven)} of {len(record.verified)} designs of the front that were run are not proven; "
            f"design {number}: {verdict}",
            f"see {folder / FRONT / f'design{number}'}, and give the same command again: what is known is kept",
        )


def _summary(
    config: StudyConfig,
    record: StudyRecord,
    best: list[DesignRecord],
    folder: Path,
    report: Path,
    failures: Iterable[tuple[str, int]],
) -> None:
    """Say what a study found."""
    table(
        ("design", *(f">{name}" for name in _columns(config)), "choices", "RTL"),
        _rows(config, best, record.verified),
    )
    for reason, count in failures:
        echo(f"{count} failed: {reason}")
    found = record.designs
    counts = {
        state: sum(design.state == state for design in found) for state in ("complete", "refused", "failed")
    }
    echo(
        f"{len(found)} designs: {counts['complete']} weighed, {counts['refused']} outside the limits, "
        f"{counts['failed']} failed; {len(best)} on the front, in {folder / FRONT}"
    )
    echo(f"report: {report}")


def _provenance(study: Path, base: Path) -> dict[str, Any]:
    """What the study was made from."""
    from hwflow.flow.folder import sha256
    from hwflow.flow.manifest import git_state
    from hwflow.tools.paths import package_dir
    from hwflow.tools.versions import versions

    return {
        "argv": sys.argv[1:],
        "versions": versions(),
        "git": git_state(package_dir().parent),
        "study_sha256": sha256(study),
        "base_sha256": sha256(base),
    }


def _wanted(verify: str) -> int | None:
    """How many designs of the front to run; None for all."""
    if verify == "front":
        return None
    if not verify.isdecimal():
        raise ConfigError(f"--verify {verify}: neither a number nor 'front'", "give one of these")
    return int(verify)


def _spread(best: list[DesignRecord], count: int | None) -> list[DesignRecord]:
    """So many designs of the front, from one end to the other."""
    if count is None or count >= len(best):
        return best
    last = len(best) - 1
    return [best[round(at * last / max(1, count - 1))] for at in range(count)]


def _written(best: list[DesignRecord], base: Path, folder: Path) -> dict[int, Path]:
    """Write the designs of the front; paths by number."""
    from hwflow.config.folding import to_yaml

    place = folder / FRONT
    place.mkdir(exist_ok=True)
    for old in place.glob("design*.yaml"):
        old.unlink()
    paths = {design.number: place / f"design{design.number}.yaml" for design in best}
    for one in best:
        text = to_yaml(_anchored(one.design, base), base.read_text(), f"Design {one.number} of a study.")
        write_text(paths[one.number], text)
    return paths


def _proven(design: Path, *, trust: bool) -> tuple[str, ProofRecord]:
    """Run a design: ``exact``, or what is wrong; and what was measured."""
    from hwflow.records import ProofRecord, read_metrics

    folder, verdict = design.with_suffix(""), EXACT
    try:
        execute(design, folder, trust=trust)
    except HwflowError as error:
        verdict = error.message
    path = folder / "metrics.json"
    metrics = read_metrics(path) if path.is_file() else []
    figures = {
        metric.name: metric.value
        for metric in metrics
        if metric.value is not None and any(fnmatchcase(metric.name, wanted) for wanted in _PROVEN)
    }
    return verdict, ProofRecord(run=f"{FRONT}/{folder.name}", metrics=figures)


def _anchored(design: dict[str, Any], base: Path) -> dict[str, Any]:
    """The design with its model named from anywhere."""
    model = design["Hwflow"]["Model"]
    file = base.parent / model["Source"]
    if not file.is_file():
        return design
    return {**design, "Hwflow": {**design["Hwflow"], "Model": {**model, "Source": str(file.resolve())}}}


def _columns(config: StudyConfig) -> list[str]:
    """Metrics that are shown: objectives, limits, and what everybody asks for."""
    usual = ("quality.cosine", "model.weight_bits", "cost.lut", "cost.dsp", "cost.fps")
    return list(dict.fromkeys([*config.Objectives, *config.Limits, *usual]))


def _rows(config: StudyConfig, best: list[DesignRecord], verified: dict[str, str]) -> list[tuple[str, ...]]:
    return [
        (
            str(design.number),
            *(f"{design.metrics[name]:,.6g}" if name in design.metrics else "" for name in _columns(config)),
            ", ".join(f"{name} {value}" for name, value in design.point.items()),
            verified.get(str(design.number), ""),
        )
        for design in best
    ]


def _markdown(
    title: str,
    config: StudyConfig,
    found: list[DesignRecord],
    best: list[DesignRecord],
    verified: dict[str, str],
) -> str:
    """The front as a page."""
    columns = ("design", *_columns(config), "choices", "RTL")
    wanted = ", ".join(f"{name} ({direction})" for name, direction in config.Objectives.items())
    lines = [
        f"# Study {title}",
        "",
        f"{len(found)} designs; wanted: {wanted}. The front: designs that no other one beats.",
        "",
        f"| {' | '.join(columns)} |",
        "|" + "---|" * len(columns),
        *(f"| {' | '.join(row)} |" for row in _rows(config, best, verified)),
    ]
    return "\n".join(lines) + "\n"
