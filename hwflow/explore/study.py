# SPDX-License-Identifier: Apache-2.0
"""Running a study: Optuna chooses and remembers, Dask computes.

Every finished design is in the storage before the next one is asked for. What was under way when a study was killed
is asked for again; a worker that dies is replaced, and its design is computed by another one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from hwflow.errors import ConfigError, HwflowError, UserError
from hwflow.explore.bench import Outcome, bench
from hwflow.explore.clusters import Place, client
from hwflow.explore.schema import StudyConfig
from hwflow.explore.space import dimensions, size, suggest
from hwflow.files import locked
from hwflow.records import DesignRecord

if TYPE_CHECKING:
    import distributed
    import optuna
    from optuna.trial import TrialState

STORAGE = "study.db"
_LOCK = ".lock"
_NAME = "hwflow"
#: Attributes of trials and of the study in the storage.
_OUTCOME, _ERROR, _TWIN, _DEFINITION, _SESSIONS = "outcome", "error", "twin", "definition", "sessions"
#: Designs that a sampler may choose again before it is given a new one.
_TWINS = 10
#: Share of a study that is one generation of NSGA-II, and its limits.
_GENERATIONS, _POPULATION = 8, (8, 50)

_PASSWORD = re.compile(r"//[^@/]*@")

Track = Callable[[Iterable[int], int], Iterable[int]]
Weigh = Callable[[str, str, bool, dict[str, Any]], Outcome | str]


@dataclass(frozen=True, slots=True)
class Explored:
    """What a study knows.

    Parameters
    ----------
    designs : list of DesignRecord
        All finished ones, by number; no two are alike.
    sessions : list of dict
        When it ran: ``begun``, designs ``known`` by then, ``ended``; the last is None of one that was killed.
    """

    designs: list[DesignRecord]
    sessions: list[dict[str, Any]]


def weighed(study: str, base: str, trust: bool, point: dict[str, Any]) -> Outcome | str:
    """What a worker does; a design that fails gives its error and does not end the study.

    Raises
    ------
    UserError
        When it is the study that is wrong, so that all of its designs would fail.
    """
    warnings.simplefilter("ignore")  # of Keras, in a process that computes nothing else
    try:
        tested = bench(study, base, trust)
    except HwflowError as error:
        raise UserError(error.message, error.remedy) from None
    try:
        return tested.weigh(point)
    except HwflowError as error:
        return f"{error.message}; {error.remedy}" if error.remedy else error.message
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"


def explore(
    study: StudyConfig,
    base: Path,
    folder: Path,
    *,
    place: Place | None = None,
    storage: str | None = None,
    trust: bool = False,
    weigh: Weigh = weighed,
    track: Track = lambda numbers, _: numbers,
) -> Explored:
    """Weigh designs until the study has as many as it wants.

    Parameters
    ----------
    study : StudyConfig
        The study.
    base : pathlib.Path
        YAML of the design that is varied.
    folder : pathlib.Path
        Receives the storage, where no other is named.
    place : Place, optional
        Where they are computed; one process of this machine if absent.
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
    Explored

    Raises
    ------
    ConfigError
        When the storage holds another study, or another process works in the folder.
    UserError
        When storage or scheduler cannot be reached, or are lost, or the study does not suit its base.

    Notes
    -----
    A storage with a URL is for one process at a time, too: what an earlier one has left unfinished is asked for again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, folder / _LOCK):
        remembered = _open(study, base, folder, storage)
        missing = min(study.Trials, size(study.Space)) - len(_finished(remembered))
        if missing > 0:
            place = place or Place()
            worker = partial(weigh, study.model_dump_json(), str(base), trust)
            with _session(remembered), client(place) as dask, _stored(folder):
                for _ in track(_work(remembered, study, worker, dask, place, missing), missing):
                    pass
        designs = [_design(trial) for trial in _finished(remembered)]
        return Explored(designs, list(remembered.user_attrs.get(_SESSIONS, [])))


@contextlib.contextmanager
def _stored(folder: Path) -> Iterator[None]:
    """Say in words what a storage refuses while designs are computed."""
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise UserError(
            f"the storage of {folder} does not take what was found: {cause}",
            "make room, or end what holds it, and give the same command: what is finished is kept",
        ) from error


@contextlib.contextmanager
def _session(remembered: optuna.Study) -> Iterator[None]:
    """Note when designs were computed; the end of one that was killed stays open."""
    earlier = list(remembered.user_attrs.get(_SESSIONS, []))
    this: dict[str, Any] = {"begun": _now(), "known": len(_finished(remembered)), "ended": None}
    remembered.set_user_attr(_SESSIONS, [*earlier, this])
    yield
    remembered.set_user_attr(_SESSIONS, [*earlier, this | {"ended": _now()}])


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def front(study: StudyConfig, found: Iterable[DesignRecord]) -> list[DesignRecord]:
    """Designs that no other one is better than in one objective and no worse in all.

    An objective with a tolerance counts in steps of that; of the designs on the same steps the best by all of them
    is kept.
    """
    signs = {name: 1 if direction == "minimize" else -1 for name, direction in study.Objectives.items()}

    def exact(design: DesignRecord) -> list[float]:
        return [sign * design.metrics[name] for name, sign in signs.items()]

    def steps(design: DesignRecord) -> list[float]:
        units = [study.Tolerances.get(name) for name in signs]
        return [
            value if unit is None else round(value / unit)
            for value, unit in zip(exact(design), units, strict=True)
        ]

    def within(design: DesignRecord) -> float:
        """How far inside its steps a design is, to choose among those on the same."""
        return sum(
            value / study.Tolerances.get(name, 1.0) for name, value in zip(signs, exact(design), strict=True)
        )

    complete = sorted((design for design in found if design.state == "complete"), key=within)
    places = {design.number: steps(design) for design in complete}
    kept: list[DesignRecord] = []
    for design in complete:
        own = places[design.number]
        beaten = any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in places.values()
        )
        if not beaten and all(own != places[other.number] for other in kept):
            kept.append(design)
    return sorted(kept, key=exact)


def _design(trial: optuna.trial.FrozenTrial) -> DesignRecord:
    from optuna.trial import TrialState

    states: Mapping[Any, Literal["complete", "refused"]] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "refused",
    }
    outcome, end = trial.user_attrs.get(_OUTCOME, {}), trial.datetime_complete
    return DesignRecord(
        number=trial.number,
        state=states.get(trial.state, "failed"),
        point=trial.params,
        metrics=outcome.get("metrics", {}),
        reason=outcome.get("refused") or trial.user_attrs.get(_ERROR, ""),
        design=outcome.get("design", {}),
        seconds=outcome.get("seconds", 0.0),
        worker=outcome.get("worker", ""),
        finished=end.astimezone(timezone.utc).isoformat(timespec="seconds") if end else "",
    )


def _finished(remembered: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that were computed, each design once; those that a killed run left behind were not."""
    from optuna.trial import TrialState

    found = remembered.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    )
    return [
        trial
        for trial in found
        if {_OUTCOME, _ERROR} & trial.user_attrs.keys() and _TWIN not in trial.user_attrs
    ]


# -- storage ------------------------------------------------------------------------------------------------


def _open(study: StudyConfig, base: Path, folder: Path, url: str | None) -> optuna.Study:
    """The study in its storage; begun where there is none, or one that knows no design yet."""
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    place = url or f"sqlite:///{folder / STORAGE}"
    definition = hashlib.sha256(
        json.dumps([study.model_dump(mode="json", exclude={"Trials"}), base.read_text()]).encode()
    ).hexdigest()
    remedy = (
        "check the URL, and that the data base's driver is installed"
        if url
        else (
            f"end what holds it; if it is damaged, delete {folder / STORAGE} to begin anew, or name another --out"
        )
    )
    name = _NAME if url is None else f"{_NAME}-{definition[:12]}"
    begin = partial(
        optuna.create_study, storage=place, sampler=_sampler(study, 0), study_name=name,
        directions=list(study.Objectives.values()), load_if_exists=True,
    )  # fmt: skip
    try:
        remembered = begin()
        known = remembered.user_attrs.get(_DEFINITION)
        if known not in (None, definition) and not _finished(remembered):
            optuna.delete_study(study_name=name, storage=place)
            remembered, known = begin(), None
        if known is None:
            remembered.set_user_attr(_DEFINITION, definition)
        left = remembered.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    except Exception as error:  # Optuna lets through whatever the data base raises
        cause = str(error.__cause__ or error).splitlines()[0]
        shown = _PASSWORD.sub("//", place)
        raise UserError(f"the storage {shown} cannot be used: {cause}", remedy) from error
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

    seed = study.Seed + number
    if study.Sampler == "tpe":
        return samplers.TPESampler(seed=seed)
    if study.Sampler == "random":
        return samplers.RandomSampler(seed=seed)
    least, most = _POPULATION
    return samplers.NSGAIISampler(
        population_size=min(max(study.Trials // _GENERATIONS, least), most), seed=seed
    )


# -- computing ----------------------------------------------------------------------------------------------


def _work(
    remembered: optuna.Study,
    study: StudyConfig,
    weigh: Callable[[dict[str, Any]], Outcome | str],
    client: distributed.Client,
    place: Place,
    missing: int,
) -> Iterator[int]:
    """Ask, compute and tell; numbers of designs as they are finished."""
    import distributed

    known = {_key(trial.params): trial for trial in _finished(remembered)}
    running: dict[Any, optuna.Trial] = {}
    queue = distributed.as_completed([], with_results=False)
    done = twins = 0
    while done < missing:
        most = max(place.workers, _threads(client, place))
        while done + len(running) < missing and len(running) < most:
            trial = remembered.ask()
            point = suggest(trial, study.Space)
            key = _key(point)
            if key in known:  # chosen before: what is known is told again, for the sampler
                _tell(remembered, trial, study, _outcome(known[key]), twin=known[key].number)
                twins += 1
                if twins % _TWINS == 0:
                    remembered.enqueue_trial(_fresh(study, known, running, remembered))
                continue
            if any(_key(other.params) == key for other in running.values()):
                remembered.tell(trial, state=_fail())
                remembered.enqueue_trial(_fresh(study, known, running, remembered))
                continue
            future = client.submit(weigh, dict(point), pure=False)
            running[future.key] = trial
            queue.add(future)
        future = next(queue)
        outcome = _result(future, place)
        trial = running.pop(future.key)
        _tell(remembered, trial, study, outcome)
        known[_key(trial.params)] = remembered.trials[trial.number]
        done += 1
        yield trial.number


def _fresh(
    study: StudyConfig, known: Mapping[str, Any], running: Mapping[Any, optuna.Trial], seen: optuna.Study
) -> dict[str, Any]:
    """A point of the space that was not chosen yet, for a sampler that goes round in circles."""
    taken = {*known, *(_key(trial.params) for trial in running.values())}
    choices = dimensions(study.Space)
    random = Random(f"{study.Seed} {len(seen.get_trials(deepcopy=False))}")
    while True:
        point = {name: random.choice(values) for name, values in choices.items()}
        if _key(point) not in taken:
            return point


def _threads(client: distributed.Client, place: Place) -> int:
    """Designs that the workers compute at once."""
    try:
        return sum(client.nthreads().values())
    except OSError as error:
        raise _gone(place) from error


def _gone(place: Place) -> UserError:
    """The scheduler is gone; what was under way is not finished then, and is asked for again next time."""
    return UserError(
        f"the Dask scheduler {place.scheduler or ''} is gone while designs were computed",
        "start it again and give the same command: what is finished is kept",
    )


def _result(future: Any, place: Place) -> Outcome | str:
    """What a worker found, or why none did."""
    if future.cancelled():
        raise _gone(place)
    try:
        outcome: Outcome | str = future.result()
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - Dask gives up when several workers have died over a design
        return f"{type(error).__name__}: {error}"
    return outcome


def _fail() -> TrialState:
    from optuna.trial import TrialState

    return TrialState.FAIL


def _tell(
    remembered: optuna.Study,
    trial: optuna.Trial,
    study: StudyConfig,
    outcome: Outcome | str,
    twin: int | None = None,
) -> None:
    from optuna.trial import TrialState

    if twin is not None:
        trial.set_user_attr(_TWIN, twin)
    if isinstance(outcome, str):
        trial.set_user_attr(_ERROR, outcome)
        remembered.tell(trial, state=TrialState.FAIL)
        return
    trial.set_user_attr(_OUTCOME, asdict(outcome))
    absent = [name for name in study.Objectives if name not in outcome.metrics]
    if outcome.refused:
        remembered.tell(trial, state=TrialState.PRUNED)
    elif absent:
        trial.set_user_attr(_ERROR, f"{absent[0]} is not known of this network")
        remembered.tell(trial, state=TrialState.FAIL)
    else:
        remembered.tell(trial, [outcome.metrics[name] for name in study.Objectives])


def _outcome(trial: optuna.trial.FrozenTrial) -> Outcome | str:
    attrs = trial.user_attrs
    return Outcome(**attrs[_OUTCOME]) if _OUTCOME in attrs else str(attrs[_ERROR])


def _key(point: Any) -> str:
    return json.dumps(dict(point), sort_keys=True)
