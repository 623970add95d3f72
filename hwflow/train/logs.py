# SPDX-License-Identifier: Apache-2.0
"""What a training says of its epochs: a CSV file, and events for TensorBoard where they are wanted."""

from __future__ import annotations

import csv
import shutil
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

LOG, EVENTS = "log.csv", "tensorboard"
_FORMATS = {
    "epoch": "d", "loss": ".6g", "cosine": ".6f", "learning_rate": ".3g", "wall_s": ".2f", "processor_s": ".2f",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Epoch:
    """Figures of one epoch.

    Parameters
    ----------
    number : int
        From 1.
    loss : float
        Mean over its steps.
    cosine : float
        Mean cosine of the student's embeddings to the teacher's, over the augmented pictures it was trained on.
    learning_rate : float
        Of its last step.
    wall_s, processor_s : float
        Time it took, and time of all processors, s; no part of what is equal in equal trainings.
    """

    number: int
    loss: float
    cosine: float
    learning_rate: float
    wall_s: float = field(compare=False)
    processor_s: float = field(compare=False)


class Logs:
    """The logs of a training.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``log.csv`` and, for TensorBoard, the folder ``tensorboard``; what an earlier training left there is
        replaced, so that each epoch stands there once however often a training was interrupted.
    tensorboard : bool
        Whether TensorBoard is to see it.
    """

    def __init__(self, folder: Path, *, tensorboard: bool) -> None:
        self._path, self._told = folder / LOG, 0
        self._writer: tf.summary.SummaryWriter | None = None
        shutil.rmtree(folder / EVENTS, ignore_errors=True)
        if tensorboard:
            import tensorflow as tf

            self._writer = tf.summary.create_file_writer(str(folder / EVENTS))

    def write(self, epochs: list[Epoch]) -> None:
        """Bring the logs to these epochs, each of which is known once it was written."""
        with self._path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_FORMATS)
            for epoch in epochs:
                writer.writerow(
                    format(value, form) for value, form in zip(astuple(epoch), _FORMATS.values(), strict=True)
                )
        if self._writer is not None:
            import tensorflow as tf

            with self._writer.as_default():
                for epoch in epochs[self._told :]:
                    for name in ("loss", "cosine", "learning_rate"):
                        tf.summary.scalar(f"epoch/{name}", getattr(epoch, name), step=epoch.number)
            self._writer.flush()
        self._told = len(epochs)


def read_log(folder: Path) -> list[Epoch]:
    """Figures of the epochs of a training, as its log holds them."""
    with (folder / LOG).open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [Epoch(int(row["epoch"]), *(float(row[column]) for column in list(_FORMATS)[1:])) for row in rows]
