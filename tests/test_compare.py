# SPDX-License-Identifier: Apache-2.0
"""A difference is found, counted and named; a run with one fails with exit code 3 and a report that says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwflow.errors import EXIT_MISMATCH, InternalError, VerificationError
from hwflow.numerics.fixed import FixedType
from hwflow.verify.compare import Tensor, compare

ROOT = Path(__file__).resolve().parents[1]
GRID = FixedType(True, 8, 4)


def _tensors() -> dict[str, Tensor]:
    codes = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    return {"first": Tensor(codes, GRID), "second": Tensor(codes - 7, GRID)}


def test_equal_tensors_have_no_difference() -> None:
    record = compare("rtl", "layers", _tensors(), _tensors())
    assert (record.mismatches, record.values, record.tensors, record.frames) == (0, 48, 2, 2)
    assert record.first_difference == ""


def test_the_first_layer_and_element_in_dataflow_order_are_named() -> None:
    other = _tensors()
    for name in other:
        codes = other[name].codes.copy()
        codes[1, 2, 3] += 1
        codes[1, 0, 2] -= 1
        other[name] = Tensor(codes, GRID)
    record = compare("csim", "layers", _tensors(), dict(reversed(other.items())))
    assert record.mismatches == 4
    assert record.first_difference == (
        "layer first, frame 1, element [0, 2]: expected code 14 (0x0e = 0.875), got 13 (0x0d = 0.8125)"
    )


def test_grids_are_aligned_before_codes_are_compared() -> None:
    finer = {name: Tensor(t.codes << 3, FixedType(True, 11, 7)) for name, t in _tensors().items()}
    assert compare("csim", "layers", _tensors(), finer).mismatches == 0
    shifted = {name: Tensor(t.codes, FixedType(True, 8, 5)) for name, t in _tensors().items()}
    assert compare("csim", "layers", _tensors(), shifted).mismatches > 0


def test_nothing_in_common_is_no_success() -> None:
    with pytest.raises(InternalError, match="nothing to compare"):
        compare("rtl", "layers", _tensors(), {"other": _tensors()["first"]})


@pytest.mark.tf
@pytest.mark.sim
def test_one_wrong_weight_bit_in_the_rtl_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hwflow.config.load import load_config
    from hwflow.emit import design
    from hwflow.flow.runner import Flow
    from hwflow.flow.steps import STEPS
    from hwflow.report.render import render_report

    config = ROOT / "hls_configs" / "jet-mlp.yaml"
    exact = design.memory_text
    written: list[str] = []

    def broken(memory: design.Memory) -> str:
        text = exact(memory)
        written.append(text)
        if len(written) != 3:  # weights and biases of the first layer come first
            return text
        flipped = format(int(text[0], 16) ^ 1, "x")
        return flipped + text[1:]

    monkeypatch.setattr(design, "memory_text", broken)
    with pytest.raises(VerificationError) as caught:
        Flow(STEPS, finish=render_report).run(load_config(config), config_path=config, out=tmp_path / "run")
    assert caught.value.exit_code == EXIT_MISMATCH
    assert "rtl differs from the golden model" in str(caught.value)
    assert "first layer dense2, frame" in str(caught.value)
    assert "Not bit-exact" in (tmp_path / "run/report.html").read_text()
