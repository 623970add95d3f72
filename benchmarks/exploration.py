# SPDX-License-Identifier: Apache-2.0
"""A study of MobileFaceNet with its published weights, killed twice on the way, its front proven as RTL.

Run as ``python -m benchmarks.exploration [--out FOLDER] [--with COMMAND]``: writes ``reports/exploration.json``,
``.md`` and ``.svg``. A Dask scheduler and two workers are processes of their own; when a third of the designs is known
a worker is killed with SIGKILL while it computes, at two thirds the scheduler. Each worker computes on one core and is
started with ``--with`` before it (for example ``nice``). Where it was itself ended, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

STUDY = Path("hls_configs/studies/mobilefacenet.yaml")
WORKERS = 2
#: Shares of the designs at which a worker and the scheduler are killed.
KILLS = (1 / 3, 2 / 3)
_POLL = 2.0
_EVENTS = "events.json"
_BIN = Path(sys.executable).parent


def finished(folder: Path) -> dict[int, str]:
    """Outcomes of the designs in the storage, as they are stored, by number."""
    path = folder / "study.db"
    if not path.exists():
        return {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as base:
        twins = "SELECT trial_id FROM trial_user_attributes WHERE key = 'twin'"
        rows = base.execute(
            "SELECT number, value_json FROM trials JOIN trial_user_attributes USING (trial_id) WHERE key = 'outcome' "
            f"AND state IN ('COMPLETE', 'PRUNED') AND trial_id NOT IN ({twins})"
        )
        return dict(rows.fetchall())


class Events:
    """What happened, on disk after each event."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.list: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def add(self, event: str, **more: Any) -> None:
        """Note an event."""
        self.list.append(
            {"time": datetime.now(timezone.utc).isoformat(timespec="seconds"), "event": event, **more}
        )
        self._path.write_text(json.dumps(self.list, indent=1) + "\n")
        sys.stderr.write(f"{self.list[-1]}\n")

    def happened(self, event: str) -> bool:
        """Whether it was noted before."""
        return any(one["event"] == event for one in self.list)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def dask(*arguments: str, before: str = "", log: Path) -> subprocess.Popen[bytes]:
    """A process of Dask."""
    command = [*shlex.split(before), str(_BIN / "dask"), *arguments]
    one_core = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with log.open("ab") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=stream, env={**os.environ, **one_core}, start_new_session=True
        )


@contextmanager
def workers(address: str, before: str, folder: Path) -> Iterator[None]:
    """Workers that are started again when they end; with each a nanny that replaces a worker that was killed."""
    loop = 'until [ -e "$0/stop" ]; do "$@"; sleep 1; done'
    command = [
        str(_BIN / "dask"), "worker", address, "--nthreads", "1", "--memory-limit", "0", "--no-dashboard",
        "--death-timeout", "60",
    ]  # fmt: skip
    stop = folder / "stop"
    stop.unlink(missing_ok=True)
    one_core = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    started = []
    for number in range(WORKERS):
        with (folder / f"worker{number}.log").open("ab") as stream:
            started.append(
                subprocess.Popen(
                    [*shlex.split(before), "sh", "-c", loop, str(folder), *command],
                    stdout=stream, stderr=stream, env={**os.environ, **one_core}, start_new_session=True,
                )
            )  # fmt: skip
    try:
        yield
    finally:
        stop.touch()
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def computing(folder: Path, known: Mapping[int, str]) -> int | None:
    """Process of the worker that finished a design last, if it still lives."""
    for number in sorted(known, reverse=True):
        process = int(json.loads(known[number])["worker"].rpartition(":")[2])
        if Path(f"/proc/{process}").exists():
            return process
    return None


def explore(folder: Path, before: str, port: int, count: int, events: Events) -> None:
    """The study, with its two kills."""
    address = f"tcp://127.0.0.1:{port}"
    listen = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    scheduler = dask(*listen, log=folder / "scheduler.log")
    command = [str(_BIN / "hwflow"), "explore", str(STUDY), "--out", str(folder), "--scheduler", address]
    try:
        with workers(address, before, folder):
            while True:
                driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
                while driver.poll() is None:
                    time.sleep(_POLL)
                    known = finished(folder)
                    if len(known) >= KILLS[0] * count and not events.happened("worker killed"):
                        process = computing(folder, known)
                        if process is not None:
                            os.kill(process, signal.SIGKILL)
                            events.add("worker killed", process=process, finished=len(known))
                    elif len(known) >= KILLS[1] * count and not events.happened("scheduler killed"):
                        os.killpg(scheduler.pid, signal.SIGKILL)
                        scheduler.wait()
                        events.add("scheduler killed", process=scheduler.pid, finished=len(known))
                        _, message = driver.communicate()
                        after = finished(folder)
                        lost = [number for number, outcome in known.items() if after.get(number) != outcome]
                        events.add(
                            "study ended", exit_code=driver.returncode, message=message.strip(), lost=lost,
                            finished=len(after),
                        )  # fmt: skip
                        scheduler = dask(*listen, log=folder / "scheduler.log")
                        events.add("scheduler and study started again")
                        break
                else:
                    if driver.returncode:
                        _, message = driver.communicate()
                        raise SystemExit(f"the study failed: {message}")
                    return
    finally:
        scheduler.kill()


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        f"| {' | '.join(header)} |",
        "|" + "---|" * len(header),
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def report(study: Mapping[str, Any], events: list[dict[str, Any]]) -> str:
    """The front, what was proven of it, and how the study went."""
    designs = {one["number"]: one for one in study["designs"]}
    states = {
        state: sum(one["state"] == state for one in designs.values())
        for state in ("complete", "refused", "failed")
    }
    everywhere = max(one["metrics"].get("quality.frames", 0) for one in designs.values())
    judged = sum(one["metrics"].get("quality.frames") == everywhere for one in designs.values())
    seconds = sum(one["seconds"] for one in designs.values())
    varied = [
        name for name in next(iter(designs.values()))["point"]
        if len({json.dumps(one["point"][name]) for one in designs.values()}) > 1
    ]  # fmt: skip
    front = []
    for number in study["front"]:
        one, proof = designs[number], study["proofs"].get(str(number), {"metrics": {}})["metrics"]
        metrics = one["metrics"]
        golden = proof.get("faces.accuracy")
        front.append(
            (
                str(number), f"{100 * metrics['quality.accuracy']:.2f}",
                "" if golden is None else f"{100 * golden:.2f}", f"{metrics['quality.cosine']:.4f}",
                f"{100 * metrics['cost.share']:.1f}", f"{metrics['cost.lut']:,.0f}", f"{metrics['cost.dsp']:.0f}",
                f"{metrics['cost.bram18']:.0f}", f"{metrics['cost.uram']:.0f}", f"{metrics['model.weight_bits']:.2f}",
                f"{metrics['cost.ii_cycles']:,.0f}", f"{proof.get('rtl.ii_cycles', 0):,}",
                ", ".join(f"{name} {one['point'][name]}" for name in varied),
                study["verified"].get(str(number), "not run"),
            )
        )  # fmt: skip
    header = (
        "design", "accuracy, %", "of golden integers, %", "cosine", "share of the part, %", "LUT", "DSP", "BRAM18",
        "URAM", "bits of a weight", "cycles a frame", "RTL", "choices", "C++ and RTL",
    )  # fmt: skip
    for event in events:
        if event["event"].endswith(" killed"):  # what had been finished by then and is in the result
            event["kept"] = sum(
                one["state"] != "failed" and one["finished"] <= event["time"] for one in designs.values()
            )
    lines = [
        "# MobileFaceNet explored",
        "",
        f"Written by `make exploration`: `hwflow explore {STUDY}` on workers of one core each, then `--verify`.",
        "",
        f"{len(designs)} different designs: {states['complete']} within the limits, {states['refused']} outside, "
        f"{states['failed']} failed. Of all the cost was predicted; {judged} were judged on all {everywhere} faces, "
        "the others ruled out before. Simulation in float32 is compared with exact arithmetic for every design, and "
        "replaced by it where a value differs. Accuracy is that on people 11 to 40.",
        "",
        "## Front",
        "",
        "Accuracies that differ by less than 0.1 points count as equal. *Golden integers*: the accuracy of the "
        "integers that C++ and RTL are compared with, bit for bit.",
        "",
        *table(header, front),
        "",
        "![Designs within the limits, and the front with the numbers of its members](exploration.svg)",
        "",
        "## Killed on the way",
        "",
        *table(
            ("time, UTC", "event", "designs finished", ""),
            [
                (
                    one["time"][11:19], one["event"], str(one.get("finished", "")),
                    "; ".join(
                        f"{name.replace('_', ' ')}: {' '.join(str(value).split()) if value != [] else 'none'}"
                        for name, value in one.items()
                        if name not in ("time", "event", "finished")
                    ),
                )
                for one in events
            ],
        ),
        "",
        f"Processor time of the designs: {seconds:,.0f} s, {seconds / len(designs):.1f} s each.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the study and write its report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/exploration"))
    parser.add_argument("--with", dest="before", default="")
    parser.add_argument("--port", type=int, help="port of the scheduler")
    parser.add_argument("--verify", default="front", help="designs of the front to run")
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    options = parser.parse_args()
    from hwflow.explore.schema import load_study

    folder: Path = options.out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    events = Events(folder / _EVENTS)
    count = load_study(STUDY).Trials
    if len(finished(folder)) < count:
        events.add("begun")
        explore(folder, options.before, options.port or free_port(), count, events)
        events.add("all designs known", finished=len(finished(folder)), processor_seconds=_children())
    if not events.happened("front verified"):
        events.add("verification begun")
        spent = _children()
        code = subprocess.run(
            [
                *shlex.split(options.before), _BIN / "hwflow", "explore", STUDY, "--out", folder,
                "--verify", options.verify,
            ],
            check=False,
        ).returncode  # fmt: skip
        events.add("verification failed" if code else "front verified", processor_seconds=_children() - spent)
        if code:
            raise SystemExit(code)
    study = json.loads((folder / "study.json").read_text())
    (options.reports / "exploration.md").write_text(report(study, events.list))
    shutil.copyfile(folder / "report" / "designs.svg", options.reports / "exploration.svg")
    del study["provenance"]["argv"]  # names a folder of this machine; the page says what was run
    for one in study["designs"]:
        if one["number"] not in study["front"]:
            del one["design"]  # its point tells the same
    (options.reports / "exploration.json").write_text(json.dumps(study | {"events": events.list}) + "\n")


def _children() -> int:
    """Processor time of all processes that were started and have ended, s."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(used.ru_utime + used.ru_stime)


if __name__ == "__main__":
    main()
