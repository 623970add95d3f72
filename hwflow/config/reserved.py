# SPDX-License-Identifier: Apache-2.0
"""Words that cannot name a design: its name becomes a SystemVerilog module and a C++ function and file.

References
----------
IEEE Std 1800-2017, annex B; ISO/IEC 14882:2020, table 5 and alternative tokens.
"""

from __future__ import annotations

_SYSTEMVERILOG = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before begin bind
bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class clocking cmos config
const constraint context continue cover covergroup coverpoint cross deassign default defparam design disable
dist do edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
enum event eventually expect export extends extern final first_match for force foreach forever fork forkjoin
function generate genvar global highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import
incdir include initial inout input inside instance int integer interconnect interface intersect join join_any
join_none large let liblist library local localparam logic longint macromodule matches medium modport module
nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed
parameter pmos posedge primitive priority program property protected pull0 pull1 pulldown pullup
pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
reject_on release repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime
s_until s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify
specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on sync_reject_on
table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior
trireg type typedef union unique unique0 unsigned until until_with untyped use uwire var vectored virtual void
wait wait_order wand weak weak0 weak1 while wildcard wire with within wor xnor xor
"""

_CPLUSPLUS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class
co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype
default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline
int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template
this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
while xor xor_eq
"""

# Names that the C++ around the design has taken: its entry, its namespaces, the project's own headers.
_TAKEN = "main std hls nnet defines parameters weights"

RESERVED = frozenset(f"{_SYSTEMVERILOG} {_CPLUSPLUS} {_TAKEN}".split())


def check_name(name: str) -> str:
    """The name of a design, or a ``ValueError`` that says why it cannot be one."""
    if name in RESERVED:
        raise ValueError(
            f"{name!r} is a reserved word of SystemVerilog or of the C++ project; try '{name}_net'"
        )
    if name.startswith("hwf_"):
        raise ValueError(f"{name!r} may clash with hwflow's own modules, hwf_…; try {name[4:] + '_net'!r}")
    return name
