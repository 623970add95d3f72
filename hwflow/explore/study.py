# SPDX-License-Identifier: Apache-2.0
"""Running a study: Optuna chooses and remembers, Dask computes.

Every finished design is in the storage before the next one is asked for. What was under way when a study was killed
is asked for again; a worker that dies is replaced, and its design is computed by another one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwflow.errors import ConfigError, HwflowError, UserError
from hwflow.explore.bench import Outcome, bench
from hwflow.explore.schema import StudyConfig
from hwflow.explore.space import suggest

if TYPE_CHECKING:
    import distributed
    import optuna

STORAGE = "study.db"
_NAME = "hwflow"
#: Attributes of trials and of the study in the storage.
_METRICS, _REFUSED, _ERROR, _DESIGN, _DEFINITION = "metrics", "refused", "error", "design", "definition"
_CONNECT_SECONDS = 20

Track = Callable[[Iterable[int], int], Iterable[int]]
Weigh = Callable[[str, str, bool, dict[str, Any]], Outcome | str]


@dataclass(frozen=True, slots=True)
class Trial:
    """A design of a study.

    Parameters
    ----------
    number : int
        Its number.
    state : str
        ``complete``, ``refused`` (outside the limits) or ``failed``.
    point : dict
        Choice of every dimension.
    metrics : dict
        What is known of it.
    reason : str
        Why it was refused, or the error.
    design : dict
        Keys and values of its YAML; empty where it failed.
    """

    number: int
    state: str
    point: dict[str, Any]
    metrics: dict[str, float]
    reason: str
    design: dict[str, Any]


def weighed(study: str, base: str, trust: bool, point: dict[str, Any]) -> Outcome | str:
    """What a worker does; a design that fails gives its error and does not end the study."""
    warnings.simplefilter("ignore")  # of Keras, in a process that computes nothing else
    try:
        return bench(study, base, trust).weigh(point)
    except HwflowError as error:
        return f"{error.message}; {error.remedy}" if error.remedy else error.message
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def explore(
    study: StudyConfig,
    base: Path,
    folder: Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    storage: str | None = None,
    trust: bool = False,
    weigh: Weigh = weighed,
    track: Track = lambda numbers, _: numbers,
) -> list[Trial]:
    """Weigh designs until the study has as many as it wants.

    Parameters
    ----------
    study : StudyConfig
        The study.
    base : pathlib.Path
        YAML of the design that is varied.
    folder : pathlib.Path
        Receives the storage, where no other is named.
    workers : int
        Processes of the local cluster.
    scheduler : str, optional
        Address of a Dask scheduler to be used instead; its workers see the same files.
    storage : str, optional
        URL of an Optuna storage.
    trust : bool
        Whether the model may execute code.
    weigh : callable
        What workers do with the study as JSON, the base's path, ``trust`` and a point.
    track : callable
        Given the numbers of finished designs and how many there are to be; shows progress.

    Returns
    -------
    list of Trial
        All finished ones, by number.

    Raises
    ------
    ConfigError
        When the storage holds another study.
    UserError
        When storage or scheduler cannot be reached.
    """
    remembered = _open(study, base, folder, storage)
    missing = study.Trials - len(_finished(remembered))
    if missing > 0:
        with _client(workers, scheduler) as client:
            work = _work(
                remembered, study, partial(weigh, study.model_dump_json(), str(base), trust), client, missing
            )
            for _ in track(work, missing):
                pass
    return trials(remembered)


def front(study: StudyConfig, found: Iterable[Trial]) -> list[Trial]:
    """Designs that no other one is better than in one objective and no worse in all."""

    def values(trial: Trial) -> list[float]:
        return [
            trial.metrics[name] * (1 if direction == "minimize" else -1)
            for name, direction in study.Objectives.items()
        ]

    complete = [(trial, values(trial)) for trial in found if trial.state == "complete"]
    kept: list[tuple[Trial, list[float]]] = []
    for trial, own in complete:
        beaten = any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for _, other in complete
        )
        if not beaten and all(own != other for _, other in kept):
            kept.append((trial, own))
    return [trial for trial, _ in sorted(kept, key=lambda pair: pair[1])]


def trials(remembered: optuna.Study) -> list[Trial]:
    """Finished designs of a study, by number."""
    return [_trial(trial) for trial in _finished(remembered)]


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    from optuna.trial import TrialState

    attrs = trial.user_attrs
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "refused"}.get(trial.state, "failed")
    return Trial(
        trial.number, state, dict(trial.params), dict(attrs.get(_METRICS, {})),
        str(attrs.get(_REFUSED) or attrs.get(_ERROR, "")), dict(attrs.get(_DESIGN, {})),
    )  # fmt: skip


def _finished(remembered: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that were computed; those that a killed run left behind were not."""
    from optuna.trial import TrialState

    found = remembered.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    )
    return [trial for trial in found if trial.state != TrialState.FAIL or _ERROR in trial.user_attrs]


# -- storage ------------------------------------------------------------------------------------------------


def _open(study: StudyConfig, base: Path, folder: Path, url: str | None) -> optuna.Study:
    """The study in its storage; begun where there is none."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    place = url or f"sqlite:///{folder / STORAGE}"
    definition = hashlib.sha256(
        json.dumps([study.model_dump(mode="json", exclude={"Trials"}), base.read_text()]).encode()
    ).hexdigest()
    remedy = "check the URL" if url else f"delete {folder / STORAGE} to begin anew, or name another --out"
    try:
        remembered = optuna.create_study(
            storage=place,
            sampler=_sampler(study, 0), study_name=_NAME if url is None else f"{_NAME}-{definition[:12]}",
            directions=list(study.Objectives.values()), load_if_exists=True,
        )  # fmt: skip
        known = remembered.user_attrs.get(_DEFINITION)
        if known is None:
            remembered.set_user_attr(_DEFINITION, definition)
        left = remembered.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    except ConfigError:
        raise
    except Exception as error:  # Optuna lets through whatever the data base raises
        raise UserError(f"the storage {place} cannot be used: {error}", remedy) from error
    if known not in (None, definition):
        raise ConfigError(
            f"{folder} holds another study", "name another --out, or go on with the study it holds"
        )
    # Begun anew with the same seed, a sampler would choose the same designs again.
    remembered.sampler = _sampler(study, len(remembered.get_trials(deepcopy=False)))
    for trial in left:  # a run was killed while it computed these
        remembered.tell(trial.number, state=TrialState.FAIL)
        remembered.enqueue_trial(trial.params)
    return remembered


def _sampler(study: StudyConfig, number: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    kinds: dict[str, Any] = {
        "nsga2": samplers.NSGAIISampler,
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
    }
    sampler: samplers.BaseSampler = kinds[study.Sampler](seed=study.Seed + number)
    return sampler


# -- computing ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _client(workers: int, scheduler: str | None) -> Iterator[distributed.Client]:
    """A scheduler that is there, or processes of this machine."""
    import distributed

    logging.getLogger("distributed").setLevel(logging.ERROR)
    if scheduler is not None:
        try:
            client = distributed.Client(scheduler, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"the Dask scheduler {scheduler} cannot be reached: {error}",
                "start one with `dask scheduler`, or leave out --scheduler",
            ) from error
        with client:
            yield client
        return
    cluster = distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0,
        silence_logs=logging.CRITICAL,
    )  # fmt: skip
    with cluster, distributed.Client(cluster) as client:
        yield client


def _work(
    remembered: optuna.Study,
    study: StudyConfig,
    weigh: Callable[[dict[str, Any]], Outcome | str],
    client: distributed.Client,
    missing: int,
) -> Iterator[int]:
    """Ask, compute and tell; numbers of designs as they are finished."""
    import distributed

    known = {_key(trial.params): trial for trial in _finished(remembered) if _METRICS in trial.user_attrs}
    running: dict[Any, optuna.Trial] = {}
    queue = distributed.as_completed([], with_results=False)
    most = max(1, sum(client.nthreads().values()))
    done = asked = 0
    while done < missing:
        while asked < missing and len(running) < most:
            trial = remembered.ask()
            point = suggest(trial, study.Space)
            asked += 1
            twin = known.get(_key(point))
            if twin is not None:  # chosen before: what is known is told again
                _tell(remembered, trial, study, _outcome(twin))
                done += 1
                yield trial.number
                continue
            future = client.submit(weigh, dict(point), pure=False)
            running[future.key] = trial
            queue.add(future)
        if not running:
            continue
        future = next(queue)
        trial = running.pop(future.key)
        outcome = _result(future)
        _tell(remembered, trial, study, outcome)
        if isinstance(outcome, Outcome):
            known[_key(trial.params)] = remembered.trials[trial.number]
        done += 1
        yield trial.number


def _result(future: Any) -> Outcome | str:
    """What a worker found, or why none did."""
    try:
        outcome: Outcome | str = future.result()
    except Exception as error:  # noqa: BLE001 - Dask gives up when several workers have died over a design
        return f"{type(error).__name__}: {error}"
    return outcome


def _tell(remembered: optuna.Study, trial: optuna.Trial, study: StudyConfig, outcome: Outcome | str) -> None:
    from optuna.trial import TrialState

    if isinstance(outcome, str):
        trial.set_user_attr(_ERROR, outcome)
        remembered.tell(trial, state=TrialState.FAIL)
        return
    trial.set_user_attr(_METRICS, dict(outcome.metrics))
    trial.set_user_attr(_DESIGN, dict(outcome.design))
    trial.set_user_attr(_REFUSED, outcome.refused)
    absent = [name for name in study.Objectives if name not in outcome.metrics]
    if outcome.refused:
        remembered.tell(trial, state=TrialState.PRUNED)
    elif absent:
        trial.set_user_attr(_ERROR, f"{absent[0]} is not known of this network")
        remembered.tell(trial, state=TrialState.FAIL)
    else:
        remembered.tell(trial, [outcome.metrics[name] for name in study.Objectives])


def _outcome(trial: optuna.trial.FrozenTrial) -> Outcome:
    attrs = trial.user_attrs
    return Outcome(attrs[_METRICS], attrs[_REFUSED], attrs[_DESIGN])


def _key(point: Any) -> str:
    return json.dumps(dict(point), sort_keys=True)
