# SPDX-License-Identifier: Apache-2.0
"""Structure of the modules that operations share (``rtllib/*.sv``), in the words of :mod:`hwflow.ops.costkit`."""

from __future__ import annotations

from dataclasses import astuple
from math import ceil, gcd

from hwflow.ops.base import Window
from hwflow.ops.costkit import Contents, Parameters, Structure, contents, number

_CODEBOOK, _MINIFLOAT = 5, 6  # weight codes


def _clog2(value: int) -> int:
    return (max(value, 1) - 1).bit_length()


def fifo(s: Structure, p: Parameters) -> None:
    """``hwf_fifo``."""
    width, depth = number(p, "Width"), number(p, "Depth")
    s.memory(depth, width)
    address, count = max(_clog2(depth), 1), _clog2(depth + 1)
    s.register(2 * address + count + 1)
    s.step("fifo.address", address, 2)
    if depth & (depth - 1) and address >= s.fabric.least_carry:
        s.logic("fifo.wrap", address, 2)
        # Bits that the last address plus one has not are zero anyway, where mapping sees through the carry chain.
        s.lut("fifo.wrap", 2 * (depth.bit_count() if s.fabric.lut_inputs > 4 else address))
    s.step("fifo.count", count)
    s.add("fifo.count", count)
    s.logic("fifo.count", count, 2)
    s.lut("fifo.control", 3)


def fork(s: Structure, p: Parameters) -> None:
    """``hwf_fork``."""
    outputs = number(p, "Outputs")
    s.register(outputs)
    s.lut("fork", outputs)
    s.logic("fork", 2 * outputs)


def tlast(s: Structure, p: Parameters) -> None:
    """``hwf_tlast``."""
    beats = number(p, "Beats")
    s.counter("counter", beats - 1, spare=True)


def dwc(s: Structure, p: Parameters) -> None:
    """``hwf_dwc``."""
    width, lanes_in, lanes_out = number(p, "LaneW"), number(p, "InLanes"), number(p, "OutLanes")
    middle = lanes_in // gcd(lanes_in, lanes_out) * lanes_out
    up, down = middle // lanes_in, middle // lanes_out
    if up > 1:
        s.register(middle * width + _clog2(up + 1))
        s.state("dwc.up", _clog2(up + 1))
        s.lut("dwc.up", 3)
    if down > 1:
        s.register(middle * width + _clog2(down + 1))
        # Two values, load and shift; a narrow counter is decoded for each bit, a wide one more and more once for all.
        index = _clog2(down + 1)
        decoded = index if index <= 3 else max(4 - index // 2, 0)
        s.choice("dwc.shift", (middle - lanes_out) * width, 4 + (decoded if s.fabric.lut_inputs <= 4 else 0))
        s.state("dwc.down", _clog2(down + 1))
        s.lut("dwc.down", 3)


def cast(
    s: Structure,
    in_w: int,
    signed: int,
    in_frac: int,
    out_w: int,
    out_signed: int,
    out_frac: int,
    rounding: int,
    overflow: int,
    *,
    relu: int = 0,
    times: int = 1,
    registered: bool = True,
    free: int = 0,
    chosen: bool = False,
) -> int:
    """``hwf_cast``; returns how many bits of its input matter.

    ``free`` says how many bits a sum right before it rounds away on the side: one by its carry input, any number
    where it adds a constant anyway. ``chosen`` says that its input is a choice of two values.
    """
    shift = in_frac - out_frac
    right, left = max(shift, 0), max(-shift, 0)
    rounds = right > 0 and rounding != 0
    # Bits of the rounded value, its sign included.
    carried = rounds and right > free  # rounding may need a bit more; on the side of a sum, its width has it
    value = max(in_w + (0 if signed else 1) + left - right, 1) + int(carried)
    room = out_w + (0 if out_signed else 1)
    clips = overflow != 0 and (value > room or (not out_signed and signed and not relu))
    kept = value if overflow or relu else min(value, room)
    constant = 0 if clips else min(left, out_w)
    unsigned_top = max(out_w - value + 1, 0) if not signed else 0
    if registered:
        s.register(times * max(out_w - constant - unsigned_top, 0))
    narrow = s.fabric.lut_inputs <= 4
    if (rounds or clips) and in_w <= s.fabric.lut_inputs + (
        2 if narrow else 1
    ):  # each bit a function of the whole input
        s.choice("cast.clip", times * out_w, in_w)
        return in_w
    if carried:
        # To add a constant takes no LUTs where carry chains have inputs of their own.
        if narrow:
            s.add("cast.round", min(kept, value) + 1, times)
        if rounding == 6:
            s.logic("cast.even", right, times)
        elif rounding != 2:
            s.add("cast.sign", right, times)
    if clips:
        above = max(value - room, 0) + 1
        clip(s, above, out_w - out_signed, times, signed=bool(out_signed), relu=bool(relu), chosen=chosen)
    elif relu and signed:
        s.lut("cast.relu", times * out_w)
    # Truncation looks at no bit below the result, rounding half up at one.
    below = max(right - rounding // 2, 0) if rounding in (0, 2) else 0
    top = in_w if overflow or relu else min(in_w, out_w + right + int(rounds))
    return max(top - below, 0)


def clip(s: Structure, above: int, bits: int, times: int, *, signed: bool, relu: bool, chosen: bool) -> None:
    """Limits of ``hwf_cast``: ``above`` bits tell whether the value fits, ``bits`` are replaced where it does not.

    Mapping for speed lets each bit look at all of them as long as hard multiplexers make one function of its LUTs, of
    which a choice in front takes some; from there on, they are decoded once. The zeros of an unsigned result come from
    the reset of its register, so that wide LUTs then need no sign.
    """
    inputs, size = above + 1, s.fabric.lut_inputs
    if size > 4:
        most = size - 2 + (2 + (not chosen)) * signed
        own = 2 if inputs > size else 1
    else:
        most = 0 if relu else size + 3
        own = 1 << min(max(inputs - size, 0), 2 if chosen else 3)
    if inputs <= most:
        s.lut("cast.clip", times * bits * own)
    else:
        s.lut("cast.clip", times * bits)
        s.logic("cast.detect", above, times)


def cast_of(
    s: Structure,
    p: Parameters,
    in_w: int,
    signed: int,
    in_frac: int,
    *,
    times: int,
    free: int = 0,
    chosen: bool = False,
) -> int:
    """The cast to the module's output grid ``Y``, in so many lanes."""
    return cast(
        s,
        in_w,
        signed,
        in_frac,
        number(p, "YW"),
        number(p, "YSigned", 1),
        number(p, "YFrac"),
        number(p, "Rounding"),
        number(p, "Overflow"),
        relu=number(p, "Relu"),
        times=times,
        free=free,
        chosen=chosen,
    )


def table(s: Structure, entries: Contents, lanes: int) -> None:
    """``hwf_table``: each pair of lanes has a copy."""
    for first in range(0, lanes, 2):
        s.rom("table", entries, reads=min(2, lanes - first), smooth=True)


def geometry(p: Parameters) -> Window:
    """Window parameters of a module, as ``hwf_window`` names them."""
    sizes = {name: name.title().replace("_", "") for name in Window.__slots__}
    return Window(**{name: number(p, key, int("Pad" not in key)) for name, key in sizes.items()})


def window(
    s: Structure, shape: Window, *, width: int, words: int, replays: int, depthwise: bool, pixels: int
) -> None:
    """``hwf_window``."""
    in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left = astuple(shape)
    size = pixels * words
    address = max(_clog2(size), 1)
    count = _clog2(2 * (pixels + (in_h + kernel_h + stride_h) * (in_w + kernel_w + stride_w))) + 2
    row, col = _clog2(in_h + kernel_h + stride_h) + 2, _clog2(in_w + kernel_w + stride_w) + 2
    x, y, word = _clog2(out_w + 1), _clog2(out_h + 1), _clog2(words + 1)
    s.memory(size, width)
    # Registers that nothing moves, where synthesis sees it: those of a row of one window, of one row of windows.
    across, down = out_w > 1 or s.fabric.keeps_idle, out_h > 1 or s.fabric.keeps_idle
    # Addresses and numbers that move in steps of a power of two keep their low bits.
    steps = [in_h * in_w - (out_h - 1) * stride_h * in_w - (out_w - 1) * stride_w]
    steps += [stride_w] * across + [stride_h * in_w - (out_w - 1) * stride_w] * (down and across)
    merged = kernel_h == kernel_w == 1 and depthwise and not s.fabric.keeps_idle
    s.register(3 * address + 2 * max(address - _zeros(words), 0) + (0 if merged else address))
    s.register((7 if across or down else 6) * count)
    s.register(max(count - _zeros(in_h * in_w), 0) + max(count - _zeros(gcd(*steps)), 0))
    # What is needed is what the first window needs where no window needs less.
    still_h = in_h <= stride_h + 1 and kernel_h - pad_top >= in_h
    still_w = in_w <= stride_w + 1 and kernel_w - pad_left >= in_w
    s.register((2 + 2 * down + (down and not still_h)) * row)
    kept = 0 if kernel_w > 1 or s.fabric.keeps_idle else min(_zeros(in_w), col)
    s.register((1 + 2 * across) * (col - kept) + (across + (across and not still_w)) * col)
    s.register(x * across + y * down + 2 * word + 2)
    s.register(_idle(s, _clog2(kernel_w + 1), kernel_w > 1) + _clog2(kernel_h + 1))
    s.register(0 if depthwise else _clog2(replays + 1))
    s.lut("window.zero", width)
    s.add("window.count", count, 9)
    s.lut("window.count", 4 * count)
    s.add("window.address", address, 9)
    s.lut("window.address", 6 * address)
    s.lut("window.place", 3 * (row + col))
    s.add("window.place", row, 4)
    s.add("window.place", col, 4)
    s.lut("window.control", x + y + word + 10)


def _zeros(value: int) -> int:
    """Trailing zero bits."""
    return (value & -value).bit_length() - 1 if value else 0


def _idle(s: Structure, bits: int, moves: bool) -> int:
    """A register that always holds zero where nothing moves it; some families' synthesis sees that."""
    return bits if moves or s.fabric.keeps_idle else 0


def window_parallel(
    s: Structure, shape: Window, *, lane_w: int, channels: int, lanes: int, replays: int = 1
) -> None:
    """``hwf_window_parallel``."""
    in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, _, pad_left = astuple(shape)
    pixel = channels * lane_w
    step = max(in_h - (out_h - 1) * stride_h, stride_h)
    banks = kernel_h + step
    bank, col = _clog2(banks), max(_clog2(in_w), 1)
    positions = kernel_h * kernel_w
    chunks = positions * channels // lanes
    count = _clog2(4 * (in_h + kernel_h + stride_h) * in_w * (out_h + 1)) + 3
    row, column = _clog2(in_h + kernel_h + stride_h) + 2, _clog2(in_w + kernel_w + stride_w) + 2
    for _ in range(banks):
        s.memory(in_w, pixel)
    frame_step = in_h - (out_h - 1) * stride_h
    steps = _zeros(gcd(stride_h, frame_step) if out_h > 1 else frame_step)
    s.register(5 * count + (count - steps) + (count - _zeros(in_h)))
    if out_h > 1:
        s.register(count + 2 * _clog2(out_h + 1) + row)
    if out_w > 1:
        s.register(_clog2(out_w + 1) + column)
    s.register(2 * col + bank + 2 * max(bank - min(steps, bank), 0))
    overhang = max((out_w - 1) * stride_w + kernel_w - pad_left - in_w, 0)
    row_step, beats = in_w - (out_w - 1) * stride_w, chunks * replays
    ahead = row_step - beats if beats > stride_w and row_step > beats else 0
    s.register((2 * positions + ahead * kernel_h) * pixel + 5)
    s.mux("pick", ahead + 1, positions * pixel)
    s.register(_clog2(chunks + 1) if chunks > 1 else 0)
    s.register((_clog2(replays + 1) if replays > 1 else 0) + (_clog2(overhang + 2) if overhang else 0))
    s.mux("parallel.bank", banks, kernel_h * pixel)
    s.lut("parallel.mask", positions * pixel)
    s.mux("parallel.chunk", chunks, lanes * lane_w)
    s.add("parallel.count", count, 12)
    s.lut("parallel.control", 4 * (row + column) + 2 * col + 4 * bank)


def delayed(s: Structure, length: int, bits: int) -> None:
    """Registers in a row without reset, which LUTs hold where the family has shift registers and there are three."""
    if length >= 3 and s.fabric.shift_registers:
        s.lut("shift", bits)
    else:
        s.register(max(length, 0) * bits)


def mvu(
    s: Structure,
    p: Parameters,
    *,
    pe: int,
    simd: int,
    depthwise: bool,
    folds: int,
    synapse_folds: int,
    cleared: bool,
) -> None:
    """``hwf_mvu``; the names of its parameters are those of the layer module around it.

    ``cleared`` says that its words come from ``hwf_window``, whose zeros become a reset of the first register.
    """
    lanes, x_w, code, w_w = number(p, "Lanes"), number(p, "XW"), number(p, "WeightCode"), number(p, "WW")
    pack, chain, acc_w = number(p, "Pack"), number(p, "Chain", 1), number(p, "AccW")
    sum_w, out_w = number(p, "SumW"), number(p, "YW")
    block, w_signed, x_signed = number(p, "RomBlock"), number(p, "WSigned"), number(p, "XSigned", 1)
    depth, slots = folds * synapse_folds, pe // lanes
    biases = folds * slots
    words = (pe if depthwise else 1) * simd
    group = max(pack, 1)
    groups, chains = pe // group, simd // chain
    codebook, minifloat = code == _CODEBOOK, code == _MINIFLOAT
    group_w = number(p, "CodeW") if codebook or minifloat else w_w + (group - 1) * (w_w + 1)
    word_w = groups * chains * group_w
    spread_w = (group - 1) * number(p, "PackBits") + w_w + 1
    factor_w = spread_w - int(spread_w > number(p, "DspW", 25))
    linked = pack > 1 or chain > 1
    digits = pack == 0 and code in (0, _CODEBOOK, _MINIFLOAT)
    wait = 1 + block if codebook else int(bool(block) or digits)
    levels = _clog2(chains)
    last = wait + 1 + int(minifloat) + (chain if linked else 0) + levels
    packs = s.fabric.packs_registers and pack > 0
    # Control.
    address = max(_clog2(depth), 1) if depth > 1 else 0
    s.register(address * chain)
    syn = _clog2(synapse_folds + 1)
    s.register(_idle(s, syn, synapse_folds > 1))
    for moves in (synapse_folds > 1, synapse_folds > 1 or s.fabric.keeps_idle):  # first, last
        if moves:
            delayed(s, last + 1, 1)
    s.register(last + 1 + 6)
    s.register(max(_clog2(slots), 1) + _clog2(biases))
    s.add("mvu.control", address)
    s.add("mvu.control", syn if synapse_folds > 1 else 0)
    s.add("mvu.control", _clog2(biases))
    s.lut("mvu.fixed", 12)
    # Weights.
    if depth > 1:
        for k in range(chain):
            weights, low = contents(p, "WeightFile"), k * word_w
            s.rom("mvu.rom", weights, block=bool(block), low=low, width=word_w)
            for _ in range(wait - codebook):
                if not packs:
                    s.register(weights.distinct(low, word_w))
            if codebook:
                table(s, contents(p, "TableFile"), groups * chains)
    # Words: lane k of a chain waits k cycles; the last two registers move into the multipliers.
    for k in range(chain):
        length = k + 1 + wait
        if packs:
            length -= min(2, length - 1 if cleared else length)
        delayed(s, length, words // chain * x_w)
    # Products.
    product = min(x_w + 1 - x_signed + w_w + 1 - w_signed, acc_w)
    levels_in_block = packs and pack == 1 and not linked and levels == 0 and not minifloat
    if digits:
        s.register(words * (x_w + 1))
        s.add("mvu.threefold", x_w + 1, words)
        s.register(pe * simd * acc_w)
        terms = ceil(w_w / 2)
        for t in range(1, terms):
            s.add("mvu.digits", max(acc_w - 2 * t, 1), pe * simd)
        # Behind the first digit a LUT of six inputs chooses and adds at once.
        s.choice("mvu.select", pe * simd * (x_w + 2) * (terms if s.fabric.lut_inputs <= 4 else 1), 5)
    elif pack == 0:
        bits = min(x_w + (1 << (w_w - 1)) if code == 3 else x_w + 1, acc_w)
        s.register(pe * simd * bits)
        s.lut(f"mvu.code{code}", pe * simd * bits)
    else:
        number_of = s.multiply(
            "product", x_w + 1 - x_signed, factor_w if group > 1 else w_w + 1 - w_signed,
            x_w + 1 - x_signed + factor_w if group > 1 else product,
            times=groups * simd,
        )  # fmt: skip
        if not (packs and number_of):
            s.register(groups * simd * (product if group == 1 else group * number(p, "PackBits") + 1))
    if minifloat:
        s.register(pe * simd * (group_w + acc_w))
        s.mux("pick", number(p, "ShiftMax") + 1, pe * simd * acc_w)
        s.lut("pick", pe * simd * acc_w)
    # Sums.
    link_w = group * number(p, "PackBits") + 1 if group > 1 else acc_w
    if linked and not packs:
        widths = [link_w if group > 1 or k > 1 else min(product + k, acc_w) for k in range(chain)]
        s.register(groups * chains * sum(widths))
        # Packed products begin with an offset, single ones with nothing.
        s.add("mvu.link", link_w, groups * (simd if group > 1 else simd - chains))
    size, term_w, waits = chains, min(product + _clog2(chain), acc_w) if pack == 1 else acc_w, 0
    while size > 1:
        term_w = min(term_w + 1, acc_w)
        s.add("mvu.tree", term_w, pe * (size // 2))
        s.register(pe * (size // 2) * term_w)
        if size % 2:  # a term that waits for its partner
            waits += 1
        else:
            delayed(s, waits, pe * acc_w)
            waits = 0
        size = ceil(size / 2)
    # A result that wraps needs no bits above its own, and one more while it is summed.
    needed = acc_w
    if not number(p, "Overflow"):
        right = max(number(p, "SumFrac") - number(p, "YFrac"), 0)
        up = number(p, "SumFrac") - number(p, "AccFrac")
        needed = min(acc_w, out_w + right + int(right > 0 and number(p, "Rounding") > 0) - up)
    if not levels_in_block:
        s.register(pe * min(acc_w, needed + 1))
        if synapse_folds > 1:
            s.add("mvu.accumulate", min(acc_w, needed + 1), pe)
    s.register(pe * needed + lanes * needed)
    s.mux("pick", slots, lanes * needed)
    # Result.
    if biases > 1:
        s.rom("rom", contents(p, "BiasFile"))
    s.add("sum", min(sum_w, needed + 1), lanes)
    s.register(lanes * cast_of(s, p, sum_w, 1, number(p, "SumFrac"), times=lanes))
    s.register(lanes * out_w)
    s.lut("mvu.held", lanes * out_w)


def reorder(s: Structure, p: Parameters) -> None:
    """``hwf_reorder``."""
    width, lanes_in, lanes = number(p, "Width"), number(p, "InLanes", 1), number(p, "Lanes", 1)
    words, block = number(p, "Words"), number(p, "Block") // lanes_in
    address, count = max(_clog2(words), 1), _clog2(words + 1) + 1
    position = max(_clog2(lanes_in), 1)
    place = count + position
    sizes = [number(p, f"Size{level}", 1) for level in range(4)]
    sizes[3] //= lanes

    def advance() -> None:
        """An address and words to add, modulo the words: a sum, and where these are no power of two a comparison."""
        wraps = words & (words - 1)
        s.add("reorder.address", count + 1 if wraps else address, 3 if wraps else 1)

    for lane in range(lanes):
        s.memory(words, lanes_in * width)
        advance()
        if lanes_in > 1:
            s.register(position)
            s.mux("pick", lanes_in, width)
        if lane:
            s.step("reorder.place", count)
            s.lut("reorder.position", position + 1 if lanes_in > 1 else 0)
    s.register((2 if words > block else 1) * address + count + 1)
    used = count + (position if lanes_in > 1 else 0)
    s.register(used * (1 + sum(size > 1 for size in sizes[:3])))
    for size in sizes:
        s.counter("counter", size - 1, spare=True)
    s.add("reorder.place", place, 2)
    s.lut("reorder.place", 2 * place)
    if words > block:
        advance()
    s.add("reorder.address", count, 3)
    s.lut("control", 6)


def skip(s: Structure, p: Parameters) -> None:
    """``hwf_skip``."""
    s.counter("counter", number(p, "Beats", 1) - 1, spare=True)
    for size, step in (("InH", "StepH"), ("InW", "StepW")):
        s.counter("counter", number(p, size, 1) - 1, spare=True)
        s.counter("counter", number(p, step, 1) - 1, spare=True)
        period = number(p, size, 1).bit_length()
        s.register(period)
        s.state("counter", period)
        s.logic("counter", period)
    s.lut("counter", 6)


#: Modules that stand between layers, and those of operations without a module of their own.
MODULES = {
    "hwf_fifo": fifo,
    "hwf_fork": fork,
    "hwf_tlast": tlast,
    "hwf_dwc": dwc,
    "hwf_reorder": reorder,
    "hwf_skip": skip,
}
