# SPDX-License-Identifier: Apache-2.0
"""How other frameworks take a package in: Vivado's IP packager, LiteX."""

from __future__ import annotations

from collections.abc import Iterator

from hwflow.package.content import Content
from hwflow.package.registers import address_bits, register_map
from hwflow.package.templates import rendered
from hwflow.package.wrapper import AXI_LITE, top_ports

#: Any part: what is packaged does not depend on it.
_PART = "xc7z020clg400-1"


def vivado_source(content: Content) -> str:
    """Text of ``package_ip.tcl``."""
    registers = register_map(content)
    names = [(port.prefix, "axis") for port in content.ports] + [("s_axi", "aximm")] * content.options.control
    ports = [name for name, _, _ in top_ports(content)]
    buses = [
        {"name": bus, "kind": kind, "ports": [port for port in ports if port.startswith(f"{bus}_")]}
        for bus, kind in names
    ]
    return rendered(
        "package_ip.tcl.j2",
        content,
        part=_PART,
        registers=registers,
        bits=address_bits(registers),
        buses=buses,
    )


def litex_source(content: Content) -> str:
    """Text of the LiteX module."""
    return rendered(
        "litex.py.j2",
        content,
        class_name="".join(part[:1].upper() + part[1:] for part in content.name.split("_")),
        links=list(_litex_links(content)),
        bits=address_bits(register_map(content)),
    )


def _litex_links(content: Content) -> Iterator[tuple[str, str]]:
    """Ports of the instance as migen names them, and what they are connected to."""
    yield "i_aclk", "ClockSignal(clock_domain)"
    yield "i_aresetn", "~ResetSignal(clock_domain)"
    for port in content.ports:
        ahead, back = ("i", "o") if port.is_input else ("o", "i")
        for signal, name, way in (
            *(("tdata", "data", ahead), ("tvalid", "valid", ahead)),
            *(("tready", "ready", back), ("tlast", "last", ahead)),
        ):
            if signal != "tlast" or content.options.control or not port.is_input:
                yield f"{way}_{port.prefix}_{signal}", f"self.{port.prefix}.{name}"
    for name, _, into in AXI_LITE if content.options.control else ():
        channel, signal = (name[0], name[1:]) if name[0] in "wbr" else (name[:2], name[2:])
        yield f"{'i' if into else 'o'}_s_axi_{name}", f"self.bus.{channel}.{signal}"
