# SPDX-License-Identifier: Apache-2.0
"""The package as a component of IP-XACT (IEEE 1685-2014), its buses by the names that Arm publishes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from hwflow.package.content import Content
from hwflow.package.registers import Access, Field, Register, address_bits, register_map
from hwflow.package.wrapper import AXI_LITE, top_ports

SPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_STREAM = ("AMBA4", "AXI4Stream", "r0p0_1")
_LITE = ("AMBA4", "AXI4-Lite", "r0p0_0")
_MAP, _FILES, _VIEW = "registers", "rtl", "verilog"

#: An element: name, then text or elements below it, then attributes.
Item = tuple[str, "str | Sequence[Item]"]
_ACCESS = {Access.CONST: "read-only", Access.RO: "read-only"}


def component_source(content: Content, sources: Sequence[str], memories: Sequence[str]) -> str:
    """Text of ``component.xml``.

    Parameters
    ----------
    content : Content
        The package.
    sources, memories : sequence of str
        Files in ``rtl/``.
    """
    options = content.options
    items: list[Item] = [
        ("vendor", options.vendor),
        ("library", options.library),
        ("name", content.top),
        ("version", options.version),
        ("busInterfaces", list(_buses(content))),
    ]
    if options.control:
        items.append(("memoryMaps", [("memoryMap", list(_memory_map(register_map(content))))]))
    items += [
        ("model", list(_model(content))),
        ("fileSets", [("fileSet", list(_files(sources, memories)))]),
        ("description", f"{content.core}, a streaming neural-network accelerator"),
    ]
    ElementTree.register_namespace("ipxact", SPACE)
    root = _element(("component", items))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _element(item: Item) -> ElementTree.Element:
    """An element; a name may end with attributes, as in ``port name=value``."""
    name, *attributes = item[0].split(" ")
    pairs = dict(attribute.split("=", 1) for attribute in attributes)
    element = ElementTree.Element(f"{{{SPACE}}}{name}", pairs)
    if isinstance(item[1], str):
        element.text = item[1]
    else:
        element.extend(_element(below) for below in item[1])
    return element


def _buses(content: Content) -> Iterator[Item]:
    for port in content.ports:
        signals = ["tdata", "tvalid", "tready"] + ["tlast"] * (content.options.control or not port.is_input)
        mode: Item = ("slave", []) if port.is_input else ("master", [])
        yield _bus(port.prefix, _STREAM, mode, signals)
    if content.options.control:
        slave: Item = ("slave", [(f"memoryMapRef memoryMapRef={_MAP}", [])])
        yield _bus("s_axi", _LITE, slave, [name for name, _, _ in AXI_LITE])


def _bus(prefix: str, kind: tuple[str, str, str], mode: Item, signals: Sequence[str]) -> Item:
    def reference(element: str, ending: str) -> Item:
        library, name, version = kind
        return (f"{element} vendor=amba.com library={library} name={name}{ending} version={version}", [])

    links: list[Item] = [
        *(("portMap", _port_map(signal.upper(), f"{prefix}_{signal}")) for signal in signals),
        ("portMap", _port_map("ACLK", "aclk")),
        ("portMap", _port_map("ARESETn", "aresetn")),
    ]
    abstraction: list[Item] = [reference("abstractionRef", "_rtl"), ("portMaps", links)]
    return (
        "busInterface",
        [
            ("name", prefix),
            reference("busType", ""),
            ("abstractionTypes", [("abstractionType", abstraction)]),
            mode,
        ],
    )


def _port_map(logical: str, physical: str) -> list[Item]:
    return [("logicalPort", [("name", logical)]), ("physicalPort", [("name", physical)])]


def _memory_map(registers: tuple[Register, ...]) -> Iterator[Item]:
    yield ("name", _MAP)
    yield (
        "addressBlock",
        [
            ("name", "control_and_status"),
            ("baseAddress", "0"),
            ("range", str(1 << address_bits(registers))),
            ("width", "32"),
            ("usage", "register"),
            *(("register", _register(register)) for register in registers),
        ],
    )
    yield ("addressUnitBits", "8")


def _register(register: Register) -> list[Item]:
    return [
        ("name", register.name),
        ("description", register.text),
        ("addressOffset", f"'h{register.offset:x}"),
        ("size", "32"),
        ("access", "read-write" if register.writable else "read-only"),
        *(("field", _field(field)) for field in register.fields),
    ]


def _field(field: Field) -> list[Item]:
    items: list[Item] = [
        ("name", field.name),
        ("description", field.text),
        ("bitOffset", str(field.low)),
    ]
    if field.access is Access.CONST:
        items.append(("resets", [("reset", [("value", f"'h{field.value:x}")])]))
    items += [("bitWidth", str(field.width)), ("access", _ACCESS.get(field.access, "read-write"))]
    if field.access is Access.W1C:
        items.append(("modifiedWriteValue", "oneToClear"))
    return items


def _model(content: Content) -> Iterator[Item]:
    yield ("views", [("view", [("name", _VIEW), ("componentInstantiationRef", _VIEW)])])
    implementation: list[Item] = [
        ("name", _VIEW),
        ("language", "verilog"),
        ("moduleName", content.top),
        ("fileSetRef", [("localName", _FILES)]),
    ]
    yield ("instantiations", [("componentInstantiation", implementation)])
    yield ("ports", [("port", _port(*port)) for port in top_ports(content)])


def _port(name: str, width: int, into: bool) -> list[Item]:
    wire: list[Item] = [("direction", "in" if into else "out")]
    if width > 1:
        wire.append(("vectors", [("vector", [("left", str(width - 1)), ("right", "0")])]))
    return [("name", name), ("wire", wire)]


def _files(sources: Sequence[str], memories: Sequence[str]) -> Iterator[Item]:
    yield ("name", _FILES)
    for name in sources:
        kind = "systemVerilogSource" if name.endswith(".sv") else "verilogSource-2001"
        yield ("file", [("name", f"rtl/{name}"), ("fileType", kind)])
    for name in memories:
        yield ("file", [("name", f"rtl/{name}"), ("fileType user=mem", "user")])
