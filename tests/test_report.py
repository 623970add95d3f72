# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hwflow.config.load import parse_config, resolve
from hwflow.errors import UserError
from hwflow.records import (
    FacesRecord,
    LayerRecord,
    Metric,
    RungRecord,
    read_faces,
    read_metrics,
    write_metrics,
    write_records,
)
from hwflow.report.render import render_report

SHA = "ab" * 32
PEOPLE = [11, 11, 12, 12, 23, 23, 31, 40]
BOUND = 451_584
DESIGN: dict[str, Any] = {
    "ProjectName": "mobilefacenet",
    "Hwflow": {
        "Model": {"Source": "mobilefacenet"},
        "Data": {"Kind": "orl"},
        "Budget": {"rtl.ii_cycles": 480_000},
    },
}


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """A grey PNG picture."""
    height, width = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def layers() -> list[LayerRecord]:
    """55 nodes in the manner of MobileFaceNet: pointwise, activation, depthwise, activation, add."""
    records = [
        LayerRecord(name="input", op="input", shape=[112, 112, 3], output_type="fixed<8,1>", cycles=37_632)
    ]
    side = 56
    for number in range(1, 54):
        kind = ("conv2d", "prelu", "depthwise_conv2d", "activation", "add")[number % 5]
        side = max(7, 56 >> number // 14)
        rf = (96, 1, 144, 1, 1)[number % 5] * (56 // side)
        cycles = BOUND if number == 7 else int(side * side * rf * (0.5 + number % 7 / 14))
        heavy = kind in ("conv2d", "depthwise_conv2d")
        pe, simd = (4, 8) if kind == "conv2d" else (2, 1)
        records.append(
            LayerRecord(
                name=f"block_{number // 5}_{kind.removesuffix('_conv2d')}",
                op=kind,
                shape=[side, side, 128],
                output_type="fixed<19,8>" if heavy else "fixed<8,4,RND_CONV,SAT>",
                weight_bits=8 if heavy else None,
                params=16_384 + 128 if heavy else 128 if kind == "prelu" else 0,
                macs=cycles * pe * simd if heavy else 0,
                reuse_factor=rf if heavy else None,
                pe=pe if heavy else None,
                simd=simd if heavy else None,
                multipliers=pe * simd if heavy else 1 if kind == "prelu" else None,
                cycles=cycles,
                utilisation=cycles / BOUND,
                buffer_pixels=2 * side + 3 if kind == "depthwise_conv2d" else None,
                fifo_beats=[2, 1_280] if kind == "add" else [2],
            )
        )
    records.append(LayerRecord(name="flatten", op="reshape", shape=[192], output_type="fixed<16,8>"))
    return records


def rungs(mismatches: int = 0) -> list[RungRecord]:
    where = "layer block_3_conv2d, element (0, 4, 7, 12)" if mismatches else ""
    return [
        RungRecord(rung="qkeras", scope="output", frames=8, values=1_536, mismatches=0),
        RungRecord(rung="csim", scope="output", frames=8, values=1_536, mismatches=0),
        RungRecord(
            rung="rtl", scope="output", frames=8, values=1_536, mismatches=mismatches, first_difference=where
        ),
        RungRecord(rung="rtl", scope="layers", frames=1, values=5_318_592, mismatches=0, tensors=55),
    ]


def faces() -> FacesRecord:
    def matrix(noise: float) -> list[list[float]]:
        draw = np.random.default_rng(5)
        same = np.equal.outer(PEOPLE, PEOPLE)
        values = np.where(same, 0.78, 0.09) + draw.normal(0, 0.05, same.shape)
        values = (values + values.T) / 2 + noise
        np.fill_diagonal(values, 1.0)
        return [[float(value) for value in row] for row in values]

    def roc(slip: float) -> list[tuple[float, float]]:
        rising = [(10.0**-exponent, 1 - slip * exponent / 4) for exponent in np.linspace(4, 0.5, 12)]
        return [(0.0, 0.0), (0.0, 1 - slip), *rising, (1.0, 1.0)]

    return FacesRecord(
        dataset="ORL",
        alignment="yunet",
        pictures=[f"faces/{number}.png" for number in range(8)],
        people=PEOPLE,
        similarity_float=matrix(0.0),
        similarity_hardware=matrix(-0.004),
        roc_float=roc(0.006),
        roc_quantized=roc(0.011),
        accuracy_float=0.9972,
        accuracy_quantized=0.9951,
        auc_float=0.99996,
        auc_quantized=0.99991,
        faces=300,
        pairs=44_850,
    )


def metrics() -> list[Metric]:
    values: dict[str, tuple[float | int, str]] = {
        "embedding.cosine_to_float.min": (0.9731, "1"),
        "faces.accuracy": (0.9951, "1"),
        "faces.auc": (0.99991, "1"),
        "model.macs": (233_797_632, "1"),
        "model.params": (1_292_992, "1"),
        "rtl.ii_bound_cycles": (BOUND, "cycles"),
        "rtl.ii_cycles": (451_877, "cycles"),
        "rtl.latency_cycles": (1_036_288, "cycles"),
        "sim.csim.seconds_per_frame": (2.53, "s"),
        "sim.rtl.seconds_per_frame": (0.94, "s"),
        "verify.frames": (8, "1"),
    }
    return [
        Metric(name=name, value=value, unit=unit, kind="simulated", source="verify.json")
        for name, (value, unit) in values.items()
    ]


def port(tensor: str, shape: list[int], grid: list[int], lanes: int) -> dict[str, Any]:
    return {
        "tensor": tensor,
        "shape": shape,
        "type": grid,
        "lanes": lanes,
        "lane_width": grid[1],
        "tdata_width": lanes * grid[1],
        "beats_per_frame": int(np.prod(shape)) // lanes,
    }


def interface() -> dict[str, Any]:
    return {
        "format": "hwflow-interface",
        "version": 1,
        "top": "mobilefacenet",
        "graph_sha256": SHA,
        "clock": "clk_i",
        "reset": {"name": "rst_ni", "active": "low", "synchronous": True},
        "ii_bound_cycles": BOUND,
        "bottleneck": "block_1_depthwise",
        "inputs": [port("input", [112, 112, 3], [1, 8, 7], 3)],
        "outputs": [port("flatten", [192], [1, 16, 8], 1)],
        "taps": [],
    }


def manifest(design: dict[str, Any] = DESIGN, status: str = "running") -> dict[str, Any]:
    files = ["metrics.json", "layers.json", *(f"rtl/mem/w{number}.mem" for number in range(60))]
    return {
        "schema": 1,
        "status": status,
        "argv": ["run", "hls_configs/mobilefacenet-w8a8.yaml", "--out", "my runs/face"],
        "versions": {"hwflow": "0.1.0", "hls4ml": "1.3.0", "npm": None, "python": "3.11.9"},
        "platform": {"system": "Linux", "machine": "x86_64"},
        "git": {"commit": "0123456789" * 4, "dirty": True},
        "seeds": {"run": 1},
        "config": {"sha256": SHA, "resolved": resolve(parse_config(design, "design"))},
        "artifacts": dict.fromkeys(files, SHA),
        "when_and_where": {
            "started": "2026-11-21T09:00:00+00:00",
            "written": "2026-11-21T09:09:00+00:00",
            "host": "bench",
            "cores": 2,
            "step_seconds": {
                "convert": 14.8,
                "csim": 41.2,
                "emit": 3.7,
                "golden": 6.9,
                "hls": 2.1,
                "model": 7.4,
                "prepare": 52.5,
                "rtlsim": 163.0,
                "verify": 0.4,
            },
        },
    }


def make_run(folder: Path) -> Path:
    """A run folder as a whole run leaves it."""
    (folder / "rtl").mkdir(parents=True)
    (folder / "faces").mkdir()
    write_metrics(folder / "metrics.json", metrics())
    write_records(folder / "layers.json", layers())
    write_records(folder / "verify.json", rungs())
    (folder / "faces.json").write_text(faces().model_dump_json())
    (folder / "manifest.json").write_text(json.dumps(manifest()))
    (folder / "rtl" / "interface.json").write_text(json.dumps(interface()))
    y, x = np.mgrid[0:112, 0:112]
    for number, person in enumerate(PEOPLE):
        oval = ((x - 56) / (34 + person % 5)) ** 2 + ((y - 60) / 46) ** 2 < 1
        grey = np.where(oval, 190 - person * 2, 60) + 10 * np.sin((x + number) / (2 + person % 7))
        (folder / "faces" / f"{number}.png").write_bytes(png(grey.astype(np.uint8)))
    return folder
