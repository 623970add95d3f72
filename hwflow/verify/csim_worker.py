# SPDX-License-Identifier: Apache-2.0
"""Worker process of :mod:`hwflow.verify.csim`: runs the compiled library on a folder of frames.

Called as ``python -m hwflow.verify.csim_worker FOLDER TRACE`` in the project's folder, where the library
finds its weights.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwflow.frontends.keras_hls4ml import INTERFACE_FILE
from hwflow.verify.csim import INPUT_FILE, LAYER_FILE, LIBRARY, OUTPUT_FILE, TIME_FILE


class _TraceData(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p))


class _Tracer:
    """The library's storage for the outputs of layers."""

    def __init__(self, library: ctypes.CDLL, layers: Mapping[str, Any]) -> None:
        self._library = library
        self._shapes = {name: tuple(layer["shape"]) for name, layer in layers.items()}
        self._records = (_TraceData * len(layers))()
        self.values: dict[str, list[NDArray[np.float64]]] = {name: [] for name in layers}
        library.allocate_trace_storage.argtypes = [ctypes.c_size_t]
        library.collect_trace_output.argtypes = [ctypes.POINTER(_TraceData)]
        library.allocate_trace_storage(ctypes.sizeof(ctypes.c_double))

    def collect(self) -> None:
        """Copy the layers' outputs of the frame that just ran."""
        self._library.collect_trace_output(self._records)
        for record in self._records:
            name = record.name.decode()
            data = ctypes.cast(record.data, ctypes.POINTER(ctypes.c_double))
            self.values[name].append(np.ctypeslib.as_array(data, self._shapes[name]).copy())


def simulate(folder: Path, *, trace: bool) -> None:
    """Run all frames of ``input<i>.npy`` and save outputs, times and, when asked for, layers."""
    interface = json.loads(Path(INTERFACE_FILE).read_text())
    library = ctypes.CDLL(str(Path(LIBRARY).resolve()))
    top = getattr(library, f"{interface['project']}_double")
    buffer = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
    inputs = [np.load(folder / INPUT_FILE.format(i)) for i in range(len(interface["inputs"]))]
    frames = len(inputs[0])
    outputs = [np.zeros((frames, int(np.prod(port["shape"])))) for port in interface["outputs"]]
    top.argtypes, top.restype = [buffer] * (len(inputs) + len(outputs)), None
    tracer = _Tracer(library, interface["layers"]) if trace else None
    seconds = np.zeros(frames)
    for index in range(frames):
        arguments = [np.ascontiguousarray(port[index]) for port in inputs] + [port[index] for port in outputs]
        start = time.process_time()
        top(*arguments)
        seconds[index] = time.process_time() - start
        if tracer:
            tracer.collect()
    for number, values in enumerate(outputs):
        np.save(folder / OUTPUT_FILE.format(number), values)
    np.save(folder / TIME_FILE, seconds)
    if tracer:
        for number, name in enumerate(interface["layers"]):
            np.save(folder / LAYER_FILE.format(number), np.stack(tracer.values[name]))


if __name__ == "__main__":
    simulate(Path(sys.argv[1]), trace=bool(int(sys.argv[2])))
