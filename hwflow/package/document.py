# SPDX-License-Identifier: Apache-2.0
"""``INTERFACE.md`` for people, ``interface.json`` for programs."""

from __future__ import annotations

import json

from hwflow import __version__
from hwflow.package.content import Content, Port
from hwflow.package.fusesoc import target_names, vlnv
from hwflow.package.registers import address_bits, register_map
from hwflow.package.templates import rendered


def interface_document(content: Content) -> str:
    """Text of ``INTERFACE.md``."""

    def value(code: int, port: Port) -> str:
        return f"{code * 2.0**-port.type.frac:.12g}"

    registers = register_map(content)
    return rendered(
        "INTERFACE.md.j2",
        content,
        vlnv=vlnv(content),
        targets=", ".join(f"`{name}`" for name in target_names(content)),
        registers=registers,
        bits=address_bits(registers),
        low=lambda port: value(port.type.range()[0], port),
        high=lambda port: value(port.type.range()[1], port),
        step=lambda port: value(1, port),
    )


def interface_json(content: Content) -> str:
    """Text of ``interface.json``."""
    ports = [
        {
            "name": port.prefix,
            "tensor": port.tensor,
            "shape": list(port.shape),
            "type": port.type.to_json(),
            "lanes": port.lanes,
            "tdata_width": port.width,
            "beats_per_frame": port.beats,
        }
        for port in content.ports
    ]
    data = {
        "format": "hwflow-package",
        "version": 1,
        "hwflow": __version__,
        "top": content.top,
        "graph_sha256": content.graph_sha256,
        "clock": "aclk",
        "reset": {"name": "aresetn", "active": "low", "synchronous": True},
        "latency_cycles": content.latency,
        "ii_cycles": content.interval,
        "ii_bound_cycles": content.ii_bound,
        "inputs": ports[: len(content.inputs)],
        "outputs": ports[len(content.inputs) :],
        "registers": {
            register.name: {
                "offset": register.offset,
                "fields": {
                    field.name: [field.low, field.width, field.access.value] for field in register.fields
                },
            }
            for register in (register_map(content) if content.options.control else ())
        },
    }
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
