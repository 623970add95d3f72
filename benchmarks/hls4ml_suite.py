# SPDX-License-Identifier: Apache-2.0
"""hls4ml's way of testing, on RTL: convert, compile, predict, compare with Keras and with hls4ml's own C++.

    python benchmarks/hls4ml_suite.py [--jobs N] [--only TEXT] [--out DIR] [--state FILE] [--any-code]

Each case of :mod:`benchmarks.hls4ml_cases` runs for both I/O types through hls4ml's public functions with
``backend='Hwflow'``. Its prediction, which is the RTL's, must lie within hls4ml's tolerance of Keras, and equal
the Vitis C simulation in every code. Writes ``hls4ml-suite.json`` and ``hls4ml-suite.md``. What passed
is remembered in the state file: an interrupted run goes on where it ended, as long as the code is the same, or
``--any-code`` is given. The report says how many versions of the code its outcomes come from.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hls4ml_cases import Case, cases

FRAMES = 20
NAME = "hls4ml-suite"


@dataclass(frozen=True)
class Outcome:
    """What a case gave for one I/O type.

    Parameters
    ----------
    case : str
        Its name.
    io_type : str
        I/O type.
    codes : int
        Output codes compared with the C++.
    different : int
        Those that differ.
    error : float
        Largest distance from Keras.
    close : bool
        Whether it lies within the tolerance.
    seconds : float
        Wall-clock time, s.
    failure : str
        What was raised; empty where nothing was.
    code : str
        Version of hwflow's code and of the cases.
    """

    case: str
    io_type: str
    codes: int = 0
    different: int = 0
    error: float = 0.0
    close: bool = False
    seconds: float = 0.0
    failure: str = ""
    code: str = ""

    @property
    def passed(self) -> bool:
        """Exact, and close to Keras."""
        return not self.failure and self.close and self.codes > 0 and self.different == 0


def run_case(case: Case, io_type: str, folder: Path) -> Outcome:
    """Convert, compile, predict, compare.

    Parameters
    ----------
    case : Case
        The case.
    io_type : str
        ``io_stream`` or ``io_parallel``.
    folder : pathlib.Path
        Receives both projects.

    Raises
    ------
    Exception
        Whatever hls4ml or hwflow raises.
    """
    import hls4ml
    import hls4ml.model.profiling

    start = time.monotonic()
    model = case.model()
    frames = case.frames(model, FRAMES)
    x = frames if len(frames) > 1 else frames[0]
    config = hls4ml.utils.config_from_keras_model(
        model, granularity="name", default_precision=case.precision, backend="Hwflow"
    )
    if case.configure:
        case.configure(config)
    expected = _listed(model.predict(x, verbose=0))
    cpp = _csim(model, copy.deepcopy(config), io_type, frames, folder / "cpp")

    hls_model = hls4ml.converters.convert_from_keras_model(
        model, hls_config=config, io_type=io_type, backend="Hwflow", output_dir=str(folder / "rtl")
    )
    hls_model.compile()
    got = _listed(hls_model.predict(x))

    close, error = _close(case, expected, got)
    if case.compared == "trace":
        _, traced = hls_model.trace(x)
        wanted = hls4ml.model.profiling.get_ymodel_keras(model, x)
        close &= traced.keys() == wanted.keys() and all(
            np.allclose(traced[name], wanted[name], rtol=case.rtol, atol=case.atol) for name in wanted
        )
    pairs = [(np.ravel(a), np.ravel(b)) for a, b in zip(cpp, got, strict=True)]
    return Outcome(
        case.ident,
        io_type,
        codes=sum(a.size for a, _ in pairs),
        different=sum(int((a != b).sum()) for a, b in pairs),
        error=error,
        close=bool(close),
        seconds=round(time.monotonic() - start, 2),
    )


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _close(case: Case, expected: Sequence[Any], got: Sequence[Any]) -> tuple[bool, float]:
    """Whether the outputs are as near to Keras as hls4ml wants, and how near."""
    same = [
        (np.asarray(e, np.float64), np.reshape(g, np.shape(e))) for e, g in zip(expected, got, strict=True)
    ]
    error = max(float(np.abs(e - g).max()) for e, g in same)
    if case.compared == "argmax":
        hits = [np.mean(e.argmax(-1) == g.argmax(-1)) for e, g in same]
        return min(hits) >= 0.9, error
    return all(np.allclose(g, e, rtol=case.rtol, atol=case.atol) for e, g in same), error


def _csim(model: Any, config: dict[str, Any], io_type: str, frames: Sequence[Any], folder: Path) -> list[Any]:
    """Outputs of hls4ml's C++ with the types that hwflow makes explicit."""
    from hwflow.frontends.keras_hls4ml import convert, write_project
    from hwflow.numerics.codes import cast_values, from_codes
    from hwflow.numerics.fixed import Cast
    from hwflow.ops.lowering import precision_cast
    from hwflow.verify.csim import QUICK, Csim

    graph = convert(
        model, backend="Vitis", hls_config=config, input_type=Cast.parse("fixed<16,6>"),
        io_type=io_type, clock_period=5, part="xc7z045ffg900-2", project_name="net", output_dir=folder,
    )  # fmt: skip
    inputs = []
    for values, variable in zip(frames, graph.get_input_variables(), strict=True):
        cast = precision_cast(variable.type.precision, variable.name)
        inputs.append(from_codes(cast_values(values, cast), cast.type))
    csim = Csim(write_project(graph), jobs=1, flags=QUICK)
    outputs = csim.outputs(inputs if len(inputs) > 1 else inputs[0])
    return [from_codes(codes, kind) for codes, kind in zip(outputs, csim.output_types, strict=True)]


def _run(ident: str, io_type: str) -> Outcome:
    """One case in a worker; what it raises is its outcome."""
    case = next(case for case in cases() if case.ident == ident)
    start = time.monotonic()
    import tensorflow as tf

    with tempfile.TemporaryDirectory(prefix="hwflow-suite-") as folder:
        try:
            return run_case(case, io_type, Path(folder))
        except Exception as error:  # noqa: BLE001 - the table says what was raised
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Outcome(ident, io_type, failure=text[:600], seconds=round(time.monotonic() - start, 2))
        finally:
            tf.keras.backend.clear_session()


def _prepare() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore")


def main() -> int:
    """Run all cases; 0 when every one passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="cases at a time")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder of the report")
    parser.add_argument(
        "--state", type=Path, default=Path("runs") / NAME / "state.jsonl", help="what passed so far"
    )
    parser.add_argument("--any-code", action="store_true", help="also leave out what passed with other code")
    options = parser.parse_args()
    _prepare()
    chosen = [
        (case.ident, io_type) for case in cases() for io_type in case.io_types if options.only in case.ident
    ]
    code = code_key()
    before = passed_before(options.state, None if options.any_code else code)
    found = {key: outcome for key, outcome in before.items() if key in chosen}
    todo = [key for key in chosen if key not in found]
    # One after the other for both I/O types, so that the second finds the simulator of the first.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        for outcome in pool.map(_run, *zip(*todo, strict=True), chunksize=2) if todo else ():
            found[outcome.case, outcome.io_type] = outcome = replace(outcome, code=code)
            remember(options.state, outcome)
            mark = "ok  " if outcome.passed else "FAIL"
            sys.stderr.write(
                f"{len(found):3}/{len(chosen)} {mark} {outcome.case} {outcome.io_type} {outcome.seconds:.1f} s "
                f"{outcome.failure or ('' if outcome.passed else _difference(outcome))}\n"
            )
    outcomes = [found[key] for key in chosen]
    write_report(outcomes, options.out)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def code_key() -> str:
    """Hash of all that makes an outcome: hwflow's code, this file and the cases."""
    from hwflow.flow.runner import code_hash

    parts = ("backend", "emit", "frontends", "numerics", "ops", "prepare", "rtllib", "tools", "verify")
    files = sorted(Path(__file__).parent.glob("hls4ml_*.py"))
    return sha256(
        "".join([*map(code_hash, parts), *(file.read_text() for file in files)]).encode()
    ).hexdigest()


def remember(state: Path, outcome: Outcome) -> None:
    """Add an outcome to the state file."""
    state.parent.mkdir(parents=True, exist_ok=True)
    with state.open("a") as stream:
        stream.write(json.dumps(asdict(outcome)) + "\n")


def passed_before(state: Path, code: str | None) -> dict[tuple[str, str], Outcome]:
    """Cases that the state file holds as passed with this code, or any; a line cut by an interruption is left out."""
    found = {}
    for line in state.read_text().splitlines() if state.exists() else ():
        try:
            outcome = Outcome(**json.loads(line))
        except json.JSONDecodeError:
            continue
        if outcome.passed and code in (None, outcome.code):
            found[outcome.case, outcome.io_type] = outcome
    return found


def _difference(outcome: Outcome) -> str:
    near = "" if outcome.close else f", {outcome.error:.3g} from Keras"
    return f"{outcome.different} of {outcome.codes} codes differ from the C++{near}"


def write_report(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the JSON and the page."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = sum(outcome.seconds for outcome in outcomes)
    passed = sum(outcome.passed for outcome in outcomes)
    data = {
        "cases": len(outcomes),
        "passed": passed,
        "codes": sum(outcome.codes for outcome in outcomes),
        "different": sum(outcome.different for outcome in outcomes),
        "seconds": round(seconds, 1),
        "code_versions": len({outcome.code for outcome in outcomes}),
        "outcomes": [
            asdict(outcome) | {"code": outcome.code[:12], "passed": outcome.passed} for outcome in outcomes
        ],
    }
    (folder / f"{NAME}.json").write_text(json.dumps(data, indent=1) + "\n")
    themes: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        theme = next(case.theme for case in cases() if case.ident == outcome.case)
        themes.setdefault(theme, []).append(outcome)
    lines = [
        "# hls4ml's way of testing",
        "",
        "`python benchmarks/hls4ml_suite.py`: models converted by `hls4ml.converters.convert_from_keras_model(backend="
        "'Hwflow')`, compiled and",
        "predicted on the RTL. A case passes when every output code equals the Vitis C simulation, and the prediction "
        "lies within the",
        "tolerance of hls4ml's own tests from Keras.",
        "",
        f"{passed} of {len(outcomes)} cases pass; {data['different']:,} of {data['codes']:,} codes differ from "
        f"the C++; {seconds:.0f} s, {data['code_versions']} version(s) of the code.",
        "",
        "| theme | cases | io_stream | io_parallel | passed | largest distance from Keras | s |",
        "|---|---|---|---|---|---|---|",
    ]
    for theme, found in themes.items():
        io = Counter(outcome.io_type for outcome in found)
        lines.append(
            f"| {theme} | {len(found)} | {io['io_stream']} | {io['io_parallel']} | {sum(o.passed for o in found)} | "
            f"{max(o.error for o in found):.2g} | {sum(o.seconds for o in found):.0f} |"
        )
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if failed:
        lines += ["", "| failed | I/O type | why |", "|---|---|---|"]
        lines += [f"| {o.case} | {o.io_type} | {o.failure or _difference(o)} |" for o in failed]
    (folder / f"{NAME}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
