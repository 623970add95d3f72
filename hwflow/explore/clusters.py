# SPDX-License-Identifier: Apache-2.0
"""Where designs are computed: processes of this machine, a Dask scheduler, or jobs of a queueing system."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any

from hwflow.config.load import read_yaml
from hwflow.errors import ConfigError, UserError, did_you_mean

if TYPE_CHECKING:
    import distributed

logger = logging.getLogger(__name__)

#: Queueing systems by name, with their classes of dask-jobqueue.
QUEUES: Mapping[str, str] = {
    "slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster",
    "htcondor": "HTCondorCluster", "oar": "OARCluster", "moab": "MoabCluster",
}  # fmt: skip
_CONNECT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where designs are computed.

    Parameters
    ----------
    workers : int
        Processes of this machine, or jobs.
    scheduler : str, optional
        Address of a Dask scheduler to be used instead; its workers see the same files.
    queue : str, optional
        Queueing system (:data:`QUEUES`) that jobs are given to.
    options : mapping
        What its class of dask-jobqueue takes: cores, memory, walltime, queue, account ...

    Raises
    ------
    ConfigError
        When the queueing system is not known, or there is a scheduler as well.
    """

    workers: int = 1
    scheduler: str | None = None
    queue: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.queue is not None and self.queue not in QUEUES:
            raise ConfigError(f"no queueing system {self.queue!r} is known", did_you_mean(self.queue, QUEUES))
        if self.queue is not None and self.scheduler is not None:
            raise ConfigError("there is a scheduler and a cluster", "name one of --scheduler and --cluster")
        if self.options and self.queue is None:
            raise ConfigError("--cluster-config says how jobs are made, but of no --cluster", "name it")


def read_options(path: Path | None) -> dict[str, Any]:
    """Options of a queueing system from YAML; none without a file."""
    return dict(read_yaml(path)) if path else {}


def jobs(place: Place) -> Any:
    """The cluster of a queueing system, without any job yet.

    Parameters
    ----------
    place : Place
        With a queue.

    Raises
    ------
    ConfigError
        When the options are wrong.
    """
    import dask_jobqueue

    kind = getattr(dask_jobqueue, QUEUES[str(place.queue)])
    common = {"cores": 1, "processes": 1, "memory": "4GB", "scheduler_options": {"dashboard_address": ":0"}}
    try:
        return kind(**common | dict(place.options))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the options of {place.queue} are wrong: {error}",
            f"give those of dask_jobqueue.{kind.__name__}: cores, memory, walltime, queue ...",
        ) from error


@contextlib.contextmanager
def client(place: Place) -> Iterator[distributed.Client]:
    """A Dask client of a place.

    Raises
    ------
    UserError
        When there is no scheduler at the address, or no program that gives jobs to the queue.
    """
    import distributed

    # what is wrong is told in words of this program
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if place.scheduler is not None:
        try:
            made = distributed.Client(place.scheduler, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise UserError(
                f"the Dask scheduler {place.scheduler} cannot be reached: {error}",
                "start one with `dask scheduler`, or leave out --scheduler",
            ) from error
        with made:
            if not made.nthreads():
                logger.warning("%s has no worker yet: designs are computed when one comes", place.scheduler)
            yield made
        return
    if place.queue is not None:
        cluster = jobs(place)
        program = type(cluster).job_cls.submit_command.split()[0]
        if which(program) is None:
            cluster.close()
            raise UserError(
                f"no job can be given to {place.queue}: there is no program {program}",
                "run this where its programs are, or leave out --cluster",
            )
        cluster.scale(jobs=place.workers)
    else:
        cluster = distributed.LocalCluster(
            n_workers=place.workers, threads_per_worker=1, dashboard_address=None, memory_limit=0,
            silence_logs=logging.CRITICAL,
        )  # fmt: skip
    with cluster, distributed.Client(cluster) as made:
        yield made
