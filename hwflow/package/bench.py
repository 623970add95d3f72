# SPDX-License-Identifier: Apache-2.0
"""The test bench of a package: plain SystemVerilog that simulators without Python take."""

from __future__ import annotations

from hwflow.package.content import Content
from hwflow.package.registers import address_bits, register_map
from hwflow.package.templates import rendered
from hwflow.package.wrapper import top_ports

#: Longest silence that is not a deadlock: cycles, and bounds of the initiation interval.
_SILENCE, _BOUNDS = 100_000, 8


def bench_files(content: Content) -> dict[str, str]:
    """Bench, its Makefile, and golden vectors by file name."""
    registers = register_map(content)
    bench = rendered(
        "bench.sv.j2",
        content,
        patience=max(_SILENCE, _BOUNDS * content.ii_bound),
        seed=content.graph_sha256[:8],
        bits=address_bits(registers),
        ports=top_ports(content),
        registers=registers,
        at={register.name: register.offset for register in registers},
    )
    vectors = {f"{content.top}_{port.file}": "\n".join(port.vectors) + "\n" for port in content.ports}
    return {f"{content.top}_tb.sv": bench, "Makefile": rendered("Makefile.j2", content)} | vectors
