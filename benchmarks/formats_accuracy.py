# SPDX-License-Identifier: Apache-2.0
"""What number formats, scales and repairs cost in accuracy: MobileFaceNet on real faces, without training.

Run as ``python -m benchmarks.formats_accuracy [FOLDER]``: writes ``FOLDER/post-training.json`` after each row and
``FOLDER/post-training.md`` (``reports`` by default). Rows that the file holds are not measured again. Takes an hour on
one core.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwflow.config.schema import DataConfig, PrepareConfig
from hwflow.flow.data import load_faces
from hwflow.models import registry
from hwflow.search import Evaluator

_log = logging.getLogger(__name__)

MODEL, EXACT = "mobilefacenet", "reports/mobilefacenet-w8a8.json"
REPAIR: dict[str, Any] = {"Rounding": "adaptive", "BiasCorrection": True}
PLAIN: dict[str, Any] = {"Equalize": False}
SCALES = {
    "layer": "a power of two a layer",
    "channel_po2": "a power of two a channel",
    "channel": "a free scale a channel",
}
CALIBRATIONS = ("percentile", "max", "mse", "kl")

Row = Mapping[str, Any]


def sections() -> dict[str, dict[str, dict[str, Any]]]:
    """Title of each table, and its rows: what is measured, with the settings of the preparation."""
    scales: dict[str, dict[str, Any]] = {}
    for bits in (8, 6, 5, 4):
        for scale, text in SCALES.items():
            given = {"WeightBits": bits, "Scale": scale}
            scales[f"{bits} bits, {text}, no repair"] = {**given, **PLAIN}
            if scale == "layer":
                scales[f"{bits} bits, {text}, equalised"] = given
            scales[f"{bits} bits, {text}, all repairs"] = {**given, **REPAIR}
    formats: dict[str, dict[str, Any]] = {}
    for name in ("minifloat<4,3>", "minifloat<5,2>"):
        formats[f"{name}, activations fixed<8>"] = {"WeightFormat": name}
        formats[f"{name}, activations {name}"] = {"WeightFormat": name, "ActivationFormat": name}
    formats["minifloat<5,2>, activations fixed<8>, all repairs"] = {
        "WeightFormat": "minifloat<5,2>",
        **REPAIR,
    }
    formats["pow2<-7,0>"] = {"WeightFormat": "pow2<-7,0>"}
    formats["pow2<-7,0>, all repairs"] = {"WeightFormat": "pow2<-7,0>", **REPAIR}
    for scope, text in (("network", "the network"), ("group", "each layer type"), ("layer", "each layer")):
        formats[f"codebook<16>, one for {text}"] = {"WeightFormat": "codebook<16>", "FormatScope": scope}
    formats["codebook<16>, one for each layer, all repairs"] = {"WeightFormat": "codebook<16>", **REPAIR}
    formats["hybrid<16,minifloat<4,3>>"] = {"WeightFormat": "hybrid<16,minifloat<4,3>>"}
    repairs = {
        "none": PLAIN,
        "equalisation": {},
        "equalisation, bias correction": {"BiasCorrection": True},
        "equalisation, adaptive rounding": {"Rounding": "adaptive"},
        "equalisation, adaptive rounding, bias correction": REPAIR,
    }
    calibrations = {
        f"{bits} bits, {name}": {"Calibration": name, "ActivationBits": bits}
        for bits in (8, 6)
        for name in CALIBRATIONS
    }
    return {
        "Number formats of weights, equalised": formats,
        "Fixed-point weights by bits, scale and repair": scales,
        "Repairs one by one, 4-bit weights, a power of two a layer": {
            name: {"WeightBits": 4, **given} for name, given in repairs.items()
        },
        "Range of activations, 8-bit weights, equalised": calibrations,
    }


def measure(evaluator: Evaluator, settings: dict[str, Any]) -> dict[str, Any]:
    """Score and stored bits of one configuration."""
    config = PrepareConfig(**settings)
    return asdict(evaluator.score(config)) | {"weight_bits": evaluator.weight_bits(config)}


def report(results: Mapping[str, Row], exact: Mapping[str, Any]) -> str:
    """The tables as Markdown; rows without a measurement say so.

    ``exact`` holds the metrics of the design with 8-bit weights and activations, computed on integers.
    """
    base = results["float"]
    lines = [
        "# MobileFaceNet quantized after training",
        "",
        "Written by `python -m benchmarks.formats_accuracy`. Published weights, ORL faces; ranges, repairs and",
        "codebooks come from people 1 to 10, all figures from people 11 to 40 (1,350 genuine and 43,500 impostor",
        "pairs). Accuracy is the mean of ten folds, its threshold chosen anew for every row; cosines are to the float",
        "embeddings. Activations have 8 bits and the embedding 16 unless a row says otherwise. Bits of a weight are",
        "those stored, codebooks and scales included. The networks are simulated in float32",
        "(`hwflow/prepare/simulate.py`).",
        "",
        f"Float network: {100 * base['accuracy']:.2f} %.",
        "",
        "8 bits, a power of two a layer, equalised, is `hls_configs/mobilefacenet-w8a8.yaml`. Its exact integers give",
        f"{100 * exact['faces.accuracy']:.2f} % and a mean cosine of {exact['embedding.cosine_to_float.mean']:.4f}.",
    ]
    for title, rows in sections().items():
        lines += [
            "",
            f"## {title}",
            "",
            "| | bits of a weight | accuracy, % | to float, points | mean cosine | smallest cosine |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for name, settings in rows.items():
            row = results.get(key(settings))
            if row is None:
                lines.append(f"| {name} | not measured | | | | |")
                continue
            loss = 100 * (row["accuracy"] - base["accuracy"])
            lines.append(
                f"| {name} | {row['weight_bits']:.2f} | {100 * row['accuracy']:.2f} | {loss:+.2f} "
                f"| {row['cosine']:.4f} | {row['cosine_min']:.4f} |"
            )
    return "\n".join([*lines, ""])


def key(settings: Mapping[str, Any]) -> str:
    """Name of a row in the file: the settings of the preparation that are not the usual ones."""
    return json.dumps(
        PrepareConfig(**settings).model_dump(mode="json", exclude_defaults=True), sort_keys=True
    )


def main() -> None:
    """Measure all rows that are missing."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "reports")
    path = folder / "post-training.json"
    results: dict[str, Row] = json.loads(path.read_text()) if path.exists() else {}
    faces, others = (load_faces(DataConfig(Kind="orl"), part) for part in ("calibration", "evaluation"))
    evaluator = Evaluator(registry.load(MODEL), faces.frames, others.frames, others.people)
    if "float" not in results:
        results["float"] = asdict(evaluator.float_score())
    for title, rows in sections().items():
        for name, settings in rows.items():
            if key(settings) not in results:
                results[key(settings)] = measure(evaluator, settings)
                _log.info("%s: %s: %s", title, name, results[key(settings)])
                path.write_text(json.dumps(results, indent=1) + "\n")
    metrics = json.loads(Path(EXACT).read_text())
    exact = {metric["name"]: metric["value"] for metric in metrics}
    (folder / "post-training.md").write_text(report(results, exact))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main()
