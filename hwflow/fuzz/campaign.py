# SPDX-License-Identifier: Apache-2.0
"""Many random networks on several cores: resumable, with what failed shrunk and saved."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import hwflow
from hwflow.errors import ConfigError, InternalError, UserError
from hwflow.flow.progress import Progress
from hwflow.flow.runner import code_hash
from hwflow.fuzz.draw import IoChoice, draw_network
from hwflow.fuzz.ladder import Result, Verdict, climb
from hwflow.fuzz.network import NetSpec
from hwflow.fuzz.save import save_failure
from hwflow.fuzz.shrink import shrink

STATE = "state.jsonl"
#: Draws for one network: those that hwflow refuses are drawn anew.
_ATTEMPTS = 25
#: Networks after which a worker process is replaced, because Keras never gives all memory back.
_LIFE = 60
#: Distance between the seeds of campaigns.
_STRIDE = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one number of a campaign.

    Parameters
    ----------
    number : int
        Its number.
    seed : int
        Seed that the network was drawn with.
    result : Result
        How it came through.
    refused : tuple of str
        Why earlier draws for this number were refused.
    saved : str
        Folder of the reproducing design, relative to the campaign's; empty where nothing failed.
    """

    number: int
    seed: int
    result: Result
    refused: tuple[str, ...] = ()
    saved: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """Inverse of :meth:`to_json`."""
        result = {**data["result"], "verdict": Verdict(data["result"]["verdict"])}
        return cls(**{**data, "result": Result(**result), "refused": tuple(data["refused"])})


def run_campaign(
    count: int, seed: int, out: Path, *, io: IoChoice = "both", jobs: int = 1, progress: Progress
) -> list[Entry]:
    """Draw networks, take each up the ladder, shrink and save what fails.

    Parameters
    ----------
    count : int
        Networks, at least 1.
    seed : int
        Seed of all; the same seed, I/O type and version give the same networks.
    out : pathlib.Path
        Receives the state file, and a folder for each failure. Numbers that the state file of an interrupted or
        shorter campaign holds are not run again.
    io : str
        I/O type, or ``both``.
    jobs : int
        Networks at the same time.
    progress : Progress
        Shown on the way.

    Returns
    -------
    list of Entry
        By number.

    Raises
    ------
    ConfigError
        When ``out`` cannot be written, or holds another campaign.
    """
    state = _State(out / STATE, {"seed": seed, "io": io, "hwflow": hwflow.__version__, "code": _code()})
    done = state.entries(count)
    todo = [number for number in range(count) if number not in done]
    for entry in progress.track(_entries(todo, seed, io, jobs, out), len(todo), "networks"):
        done[entry.number] = entry
        state.append(entry)
    shutil.rmtree(out / "work", ignore_errors=True)
    return [done[number] for number in sorted(done)]


def _code() -> str:
    """Hash of all of hwflow that makes a network or its hardware."""
    parts = ("fuzz", "ops", "rtllib", "frontends", "emit", "verify", "numerics", "prepare", "cost/timing")
    return "-".join(code_hash(part)[:6] for part in parts)


class _State:
    """The file that remembers finished networks: a header, then a line each."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self._header = header

    def entries(self, count: int) -> dict[int, Entry]:
        """Finished numbers below ``count``; those of other code are forgotten."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text().splitlines() if self.path.exists() else []
            header = _parsed(lines[0]) if lines else None
            if header is not None and any(header.get(key) != self._header[key] for key in ("seed", "io")):
                raise ConfigError(
                    f"{self.path.parent} holds another campaign (seed {header.get('seed')}, io {header.get('io')})",
                    "give another --out, or the same --seed and --io",
                )
            if header != self._header:
                lines = [json.dumps(self._header)]
            # a last line cut by an interruption is forgotten
            kept = [lines[0], *(line for line in lines[1:] if _parsed(line) is not None)]
            self.path.write_text("\n".join(kept) + "\n")
        except OSError as error:
            raise ConfigError(
                f"the folder {self.path.parent} cannot be written: {error.strerror}", "give another --out"
            ) from error
        entries = [Entry.from_json(json.loads(line)) for line in kept[1:]]
        return {entry.number: entry for entry in entries if entry.number < count}

    def append(self, entry: Entry) -> None:
        """Remember a finished network."""
        with self.path.open("a") as stream:
            stream.write(json.dumps(entry.to_json()) + "\n")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _entries(todo: Sequence[int], seed: int, io: IoChoice, jobs: int, out: Path) -> Iterator[Entry]:
    """Results as they come."""
    numbers = iter(todo)
    while batch := list(islice(numbers, _LIFE * jobs)):
        # spawned, because TensorFlow's threads do not survive a fork
        with ProcessPoolExecutor(
            min(jobs, len(batch)), mp_context=get_context("spawn"), initializer=_prepare
        ) as pool:
            futures = [pool.submit(fuzz_one, number, seed, io, out) for number in batch]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BrokenProcessPool as error:
                raise InternalError(
                    "a worker process died (out of memory?)",
                    "run the same command again, with fewer --jobs: it goes on",
                ) from error
            finally:
                for future in futures:
                    future.cancel()


def _prepare() -> None:
    """One thread a process: the processes share the cores."""
    import os
    import warnings

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=UserWarning)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def fuzz_one(number: int, seed: int, io: IoChoice, out: Path) -> Entry:
    """Draw one network until hwflow takes it, and run it; shrink and save it where it fails.

    Parameters
    ----------
    number : int
        Its number in the campaign.
    seed : int
        The campaign's seed.
    io : str
        I/O type, or ``both``.
    out : pathlib.Path
        The campaign's folder.

    Raises
    ------
    InternalError
        When every draw is refused.
    """
    import tensorflow as tf

    from hwflow.frontends.keras_checks import supported_layers

    work = out / "work" / str(number)
    refused: list[str] = []
    for attempt in range(_ATTEMPTS):
        net_seed = seed * _STRIDE + number * _ATTEMPTS + attempt
        net = draw_network(net_seed, io, supported_layers())
        result = climb(net, work)
        tf.keras.backend.clear_session()
        gc.collect()
        if result.verdict is not Verdict.REFUSED:
            break
        refused.append(result.detail)
    else:
        raise InternalError(f"network {number}: all draws are refused, the last: {refused[-1]}")
    saved = ""
    if result.verdict.is_failure:
        small, result = _shrunk(net, result, work)
        saved = f"fail-{seed}-{number}"
        save_failure(small, result, out / saved)
    shutil.rmtree(work, ignore_errors=True)
    return Entry(number, net_seed, result, tuple(refused), saved)


def _shrunk(net: NetSpec, result: Result, work: Path) -> tuple[NetSpec, Result]:
    """The smallest network that fails as this one does, and how."""
    failures = {str(net.to_json()): result}

    def fails(candidate: NetSpec) -> bool:
        found = climb(candidate, work, result.verdict)
        failures[str(candidate.to_json())] = found
        return same_failure(found, result)

    try:
        small = shrink(net, fails)
    except (UserError, ValueError) as error:
        raise InternalError(f"the network cannot be shrunk: {error}") from error
    last = failures[str(small.to_json())]
    last.layers, last.types, last.ops = result.layers, result.types, result.ops
    return small, last


def same_failure(found: Result, original: Result) -> bool:
    """Whether two networks fail in the same way: at the same rung, or by the same error at the same place."""
    if found.verdict is not original.verdict:
        return False
    if original.verdict in (Verdict.FAULT, Verdict.TOOL):
        return found.reason() == original.reason()
    return True
