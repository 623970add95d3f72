# SPDX-License-Identifier: Apache-2.0
"""NNgen's side of the comparison: a network of given integer weights to Verilog, simulated for its cycles.

Run as ``python peer_nngen.py NETWORK.npz OUT``. All layers are 8 bits wide; ``OUT`` receives ``<name>.v`` and
``nngen.json``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nngen as ng
import numpy as np
import veriloggen as vg
import veriloggen.thread as vthread
import veriloggen.types.axi as axi

CHUNK = 64  # bytes NNgen aligns its memory map to
BUS = 32  # bits of the memory port
PARALLEL = 2  # channels in and out a cycle, as in NNgen's own example of a CNN
MEMORY = 1 << 22  # bytes of the simulated memory
LIMIT = 10_000_000  # simulated time units before the simulation gives up; a clock cycle has ten


def layers(network: Any) -> list[dict[str, Any]]:
    """Kind, weights in Keras' layout, biases and shift of each layer."""
    return [
        {
            "kind": kind,
            "weight": network[f"{number}_weight"],
            "bias": network[f"{number}_bias"],
            "shift": int(network[f"{number}_shift"]),
        }
        for number, kind in enumerate(network["kinds"].tolist())
    ]


def build(network: Any) -> tuple[Any, Any]:
    """NNgen's input and output operators of a network."""
    x = first = ng.placeholder(ng.int8, shape=(1, *network["input_shape"].tolist()), name="input_layer")
    stack = layers(network)
    for number, layer in enumerate(stack):
        is_conv, is_last = layer["kind"] == "conv", number == len(stack) - 1
        codes = layer["weight"].transpose(3, 0, 1, 2) if is_conv else layer["weight"].T
        weight = ng.variable(ng.int8, shape=codes.shape, name=f"w{number}")
        weight.set_value(codes)
        bias = ng.variable(ng.int32, shape=layer["bias"].shape, name=f"b{number}")
        bias.set_value(layer["bias"])
        options = {
            "bias": bias,
            "act_func": None if is_last else ng.relu,
            "dtype": ng.int8,
            "sum_dtype": ng.int32,
            "name": "output_layer" if is_last else f"layer{number}",
        }
        if is_conv:
            x = ng.conv2d(x, weight, strides=(1, 1, 1, 1), **options)
        else:
            if len(x.shape) > 2:
                x = ng.reshape(x, [1, -1])
            x = ng.matmul(x, weight, transposed_b=True, **options)
        x.attribute(cshamt_out=layer["shift"], par_ich=PARALLEL, par_och=PARALLEL)
    return first, x


def simulate(hardware: Any, first: Any, last: Any, frame: Any, out: Path) -> tuple[int, bool]:
    """Cycles from start to end, and whether the result in memory is that of NNgen's own evaluation."""
    parameters = ng.export_ndarray([last], CHUNK)
    expected = ng.eval([last], input_layer=frame)[0]
    align = lambda address: -(-address // CHUNK) * CHUNK  # noqa: E731
    weights_at = align(first.addr + first.memory_size)
    check_at = align(weights_at + len(parameters))
    scratch_at = align(check_at + last.memory_size)
    memory = np.zeros(MEMORY // 4, dtype=np.int64)
    lanes = max(BUS // 8, 1)
    axi.set_memory(memory, frame, 32, 8, first.addr, lanes)
    axi.set_memory(memory, parameters, 32, 8, weights_at)
    axi.set_memory(memory, expected, 32, 8, check_at, lanes)

    bench = vg.Module("test")
    bench.copy_params(hardware)
    ports = bench.copy_sim_ports(hardware)
    clock, resetn = ports["CLK"], ports["RESETN"]
    reset = bench.Wire("RST")
    reset.assign(vg.Not(resetn))
    model = axi.AxiMemoryModel(
        bench, "memory", clock, reset, datawidth=BUS, memimg=memory, memimg_name=str(out / "memory.out"),
        memimg_datawidth=32,
    )  # fmt: skip
    model.connect(ports, "maxi")
    control = vthread.AXIMLite(bench, "control", clock, reset, noio=True)
    control.connect(ports, "saxi")
    counter = bench.Reg("counter", 32, initval=0)
    vg.Seq(bench, "count", clock, reset)(counter.inc())
    values, words = int(np.prod(last.shape)), last.aligned_shape[-1]

    def script() -> None:
        for _ in range(100):
            pass
        ng.sim.set_global_addrs(control, scratch_at)
        start = counter.value
        ng.sim.start(control)
        ng.sim.wait(control)
        end = counter.value
        print("cycles: %d" % (end - start))  # noqa: T201, UP031 - becomes Verilog
        wrong = 0
        for i in range(values):
            got = model.read_word(i, last.addr, 8)
            want = model.read_word(i, check_at, 8)
            if vthread.verilog.NotEql(got, want):
                wrong = wrong + 1
        print("wrong: %d" % wrong)  # noqa: T201, UP031 - becomes Verilog
        vthread.finish()

    vthread.Thread(bench, "script", clock, reset, script).start()
    bench.Instance(
        hardware, "dut", params=bench.connect_params(hardware), ports=bench.connect_ports(hardware)
    )
    vg.simulation.setup_clock(bench, clock, hperiod=5)
    init = vg.simulation.setup_reset(bench, resetn, bench.make_reset(), period=100, polarity="low")
    init.add(vg.Delay(LIMIT), vg.Systask("finish"))
    text = vg.simulation.Simulator(bench, sim="iverilog").run(outputfile=str(out / "simulation"))
    cycles, wrong = (re.search(rf"{name}:\s*(\d+)", text) for name in ("cycles", "wrong"))
    if cycles is None or wrong is None:
        raise RuntimeError(f"NNgen's simulation ended early:\n{text[-2000:]}")
    return int(cycles[1]), int(wrong[1]) == 0 and words >= last.shape[-1]


def main() -> None:
    """Read the network, write Verilog and figures."""
    network, out = np.load(sys.argv[1]), Path(sys.argv[2])
    name = str(network["name"])
    first, last = build(network)
    frame = network["frame"][None]
    hardware = ng.to_veriloggen([last], name, silent=True, config={"maxi_datawidth": BUS})
    (out / f"{name}.v").write_text(hardware.to_verilog())
    cycles, passed = simulate(hardware, first, last, frame, out)
    figures = {
        "cycles": cycles,
        "passed": passed,
        "output": ng.eval([last], input_layer=frame)[0].ravel().tolist(),
    }
    (out / "nngen.json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
