# SPDX-License-Identifier: Apache-2.0
"""The accelerator as a diagram: stages in dataflow order, with their folding and the FIFOs between them.

Stages stand below one another in a few columns, as text does in a newspaper. The stream from a stage to the next is an
arrow; one that passes stages by, as a residual branch does, runs beside them in a lane of its own. What leaves a
column otherwise than to the stage that comes next is named at both ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from hwflow.records import LayerRecord
from hwflow.report import svg
from hwflow.report.text import grouped, percent, plural, shape

_WIDTH = 1160.0
_BOX_HEIGHT, _GAP = 66.0, 30.0
_PITCH = _BOX_HEIGHT + _GAP
_TOP = 26.0
_LANE, _FIRST_LANE = 13.0, 74.0
#: Room of a letter in a box, pixels.
_LETTER = 6.7
#: Stages up to which so many columns are enough.
_COLUMNS = ((4, 1), (10, 2), (27, 3))
_MOST_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Link:
    """A stream between two stages.

    Parameters
    ----------
    source, target : int
        Stages.
    depth : int
        Beats that its FIFO holds; 0 where there is none.
    fill : int or None
        Most beats that ever wait there, where that is known.
    """

    source: int
    target: int
    depth: int
    fill: int | None

    @property
    def label(self) -> str:
        """The FIFO in words; empty where there is none."""
        return f"FIFO {grouped(self.depth)}" if self.depth else ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer with what follows on its stream alone: activations, casts.

    Parameters
    ----------
    members : list of (int, LayerRecord)
        Layers with their numbers in the table, the one that names the stage first.
    """

    members: list[tuple[int, LayerRecord]]

    @property
    def head(self) -> LayerRecord:
        """The layer that names it."""
        return self.members[0][1]

    @property
    def last(self) -> LayerRecord:
        """The layer whose output leaves it."""
        return self.members[-1][1]


def stages(
    layers: Sequence[LayerRecord], fills: Mapping[str, Sequence[int | None]]
) -> tuple[list[Stage], list[Link]]:
    """Layers joined to stages, and the streams between those.

    Parameters
    ----------
    layers : sequence of LayerRecord
        In dataflow order.
    fills : mapping of str to sequence of (int or None)
        Most beats that wait on each input of a layer.
    """
    readers: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    found: list[Stage] = []
    place: dict[str, int] = {}
    links: list[Link] = []
    for number, layer in enumerate(layers, 1):
        before = layer.inputs[0] if len(layer.inputs) == 1 else ""
        home = place.get(before)
        joins = (
            home is not None
            and not layer.macs
            and readers[before] == 1
            and found[home].head.op != "input"
            and not any(layer.fifo_beats)
        )
        if joins and home is not None:
            found[home].members.append((number, layer))
            place[layer.name] = home
            continue
        place[layer.name] = len(found)
        found.append(Stage([(number, layer)]))
        for position, name in enumerate(layer.inputs):
            depth = layer.fifo_beats[position] if position < len(layer.fifo_beats) else 0
            known = fills.get(layer.name, ())
            fill = known[position] if position < len(known) else None
            links.append(Link(place[name], place[layer.name], depth, fill))
    return found, links


def diagram(
    layers: Sequence[LayerRecord],
    fills: Mapping[str, Sequence[int | None]],
    bottleneck: LayerRecord | None,
) -> Markup:
    """The drawing; boxes lead to the rows ``layer-<number>`` of the table.

    Parameters
    ----------
    layers : sequence of LayerRecord
        In dataflow order.
    fills : mapping of str to sequence of (int or None)
        Most beats that wait on each input of a layer.
    bottleneck : LayerRecord or None
        The layer that bounds the rate.
    """
    boxes, links = stages(layers, fills)
    return _Drawing(boxes, links, bottleneck).picture()


class _Drawing:
    """Places of stages and streams."""

    def __init__(self, boxes: list[Stage], links: list[Link], bottleneck: LayerRecord | None) -> None:
        self.boxes, self.links, self.bottleneck = boxes, links, bottleneck
        self.starts = _breaks(len(boxes), links)
        ends = [*self.starts[1:], len(boxes)]
        self.column = [
            column for column, (a, b) in enumerate(zip(self.starts, ends, strict=True)) for _ in range(a, b)
        ]
        self.rows = max(b - a for a, b in zip(self.starts, ends, strict=True))
        self.passing = [link for link in links if link.target != link.source + 1]
        self.lanes = _lanes([link for link in self.passing if self._inside(link)])
        self.lane_room = _FIRST_LANE + _LANE * max(self.lanes.values(), default=-1) + 26
        self.pitch = _WIDTH / len(self.starts)
        self.box = min(300.0, self.pitch - self.lane_room)

    def _inside(self, link: Link) -> bool:
        return self.column[link.source] == self.column[link.target]

    def at(self, stage: int) -> tuple[float, float]:
        """Upper left corner of a stage."""
        column = self.column[stage]
        return 4 + column * self.pitch, _TOP + (stage - self.starts[column]) * _PITCH

    def picture(self) -> Markup:
        """The whole drawing."""
        height = _TOP + self.rows * _PITCH
        used = (len(self.starts) - 1) * self.pitch + self.box + self.lane_room + 4
        width = _WIDTH if len(self.starts) > 1 else used
        label = f"Dataflow of the accelerator: {plural(len(self.boxes), 'stage')}"
        return svg.element(
            "svg", svg.arrow_head(), *self._streams(), *self._stages(), viewBox=svg.box(width, height), width=width,
            role="group", aria_label=label, class_="dataflow",
        )  # fmt: skip

    def _stages(self) -> Iterator[Markup]:
        for number, stage in enumerate(self.boxes):
            yield self._stage(number, stage)

    def _stage(self, number: int, stage: Stage) -> Markup:
        x, y = self.at(number)
        head, last = stage.head, stage.last
        slowest = any(layer is self.bottleneck for _, layer in stage.members)
        room = int((self.box - 16) / _LETTER)
        busy = min(max(layer.utilisation for _, layer in stage.members), 1.0)
        chain = " → ".join(layer.op for _, layer in stage.members)
        lines = [
            _short(f"{stage.members[0][0]} {head.name}", room),
            _short(chain, int(room * 1.12)),
            _short(folding(head) or f"{shape(last.shape)} · {last.output_type}", int(room * 1.12)),
        ]
        title = "; ".join(
            f"{n} {layer.name} ({layer.op}) {shape(layer.shape)} {layer.output_type}"
            + (f", {folding(layer)}" if folding(layer) else "")
            + (f", {grouped(layer.cycles)} cycles ({percent(layer.utilisation, 0)})" if layer.cycles else "")
            for n, layer in stage.members
        )
        parts = [
            svg.element("title", title),
            svg.element("rect", x=x, y=y, width=self.box, height=_BOX_HEIGHT, rx=6, class_="frame"),
            *(
                svg.text(line, x + 8, y + 17 + 15 * row, class_="name" if row == 0 else "detail")
                for row, line in enumerate(lines)
            ),
            svg.bar(x + 8, y + _BOX_HEIGHT - 10, self.box - 16, 4, "trough"),
            svg.bar(x + 8, y + _BOX_HEIGHT - 10, busy * (self.box - 16), 4, "busy"),
        ]
        if slowest:
            parts.append(svg.text("bottleneck", x + self.box, y - 6, "end", "flag"))
        class_ = "stage bottleneck" if slowest else "stage"
        return svg.element("a", *parts, href=f"#layer-{stage.members[0][0]}", class_=class_)

    def _streams(self) -> Iterator[Markup]:
        for link in self.links:
            if link not in self.passing:
                yield from self._next(link)
            elif self._inside(link):
                yield from self._beside(link)
            else:
                yield from self._named(link)

    def _next(self, link: Link) -> Iterator[Markup]:
        """To the stage that comes next: down, or over to the top of the next column."""
        x, y = self.at(link.source)
        across, down = self.at(link.target)
        middle, bottom = x + self.box / 2, y + _BOX_HEIGHT
        if self._inside(link):
            yield _path([(middle, bottom), (middle, down)])
            yield svg.text(link.label, middle + 8, bottom + 19, class_="fifo")
            return
        gutter, above, below = across - 9, down - 18, bottom + 10
        ahead = across + self.box / 2
        corners = [(middle, bottom), (middle, below), (gutter, below), (gutter, above), (ahead, above)]
        yield _path([*corners, (ahead, down)])
        yield svg.text(link.label, ahead + 8, down - 5, class_="fifo")

    def _beside(self, link: Link) -> Iterator[Markup]:
        """Past stages of its column."""
        (x, out), (_, into) = self.at(link.source), self.at(link.target)
        right = x + self.box
        lane = right + _FIRST_LANE + _LANE * self.lanes[link]
        start, end = out + _BOX_HEIGHT - 20, into + 24
        yield _path([(right, start), (lane, start), (lane, end), (right, end)], "stream passing")
        yield svg.text(link.label, right + 8, end - 5, class_="fifo")

    def _named(self, link: Link) -> Iterator[Markup]:
        """To another column: an arrow out and one in, each with the other end's number."""
        (x, out), (across, into) = self.at(link.source), self.at(link.target)
        there, here = self.boxes[link.target].members[0][0], self.boxes[link.source].members[0][0]
        start, end = out + _BOX_HEIGHT - 20, into + 24
        right, left = x + self.box, across + self.box
        yield _path([(right, start), (right + 22, start)], "stream passing")
        yield svg.text(f"to {there}", right + 26, start + 4, class_="fifo")
        yield _path([(left + 22, end), (left, end)], "stream passing")
        yield svg.text(f"from {here}", left + 26, end + 4, class_="fifo")
        yield svg.text(link.label, left + 8, end - 7, class_="fifo")


def folding(layer: LayerRecord) -> str:
    """Folding of a layer in words; empty where it has none."""
    if layer.pe is None or layer.simd is None:
        return ""
    reuse = f" · reuse {grouped(layer.reuse_factor)}" if layer.reuse_factor else ""
    return f"PE {layer.pe} × SIMD {layer.simd}{reuse}"


def _breaks(count: int, links: Sequence[Link]) -> list[int]:
    """First stage of each column: near equal parts, cut where few streams pass."""
    columns = next((columns for most, columns in _COLUMNS if count <= most), _MOST_COLUMNS)
    starts = [0]
    for column in range(1, columns):
        even = round(count * column / columns)
        slack = max(1, count // columns // 3)
        choices = [place for place in range(even - slack, even + slack + 1) if starts[-1] < place < count]
        starts.append(
            min(
                choices,
                key=lambda place: (
                    sum(link.source < place - 1 and link.target >= place for link in links)
                    + sum(link.source == place - 1 and link.target > place for link in links),
                    abs(place - even),
                ),
            )
        )
    return starts


def _lanes(links: Sequence[Link]) -> dict[Link, int]:
    """A lane for each stream that passes others by: the innermost one that is free."""
    taken: list[int] = []
    found: dict[Link, int] = {}
    for link in sorted(links, key=lambda link: (link.source, -link.target)):
        free = next((lane for lane, end in enumerate(taken) if end <= link.source), len(taken))
        if free == len(taken):
            taken.append(0)
        taken[free] = link.target
        found[link] = free
    return found


def _path(points: Sequence[tuple[float, float]], class_: str = "stream") -> Markup:
    """An arrow through points."""
    assert all(one != other for one, other in pairwise(points)), "an arrow goes somewhere"
    return svg.element("polyline", points=svg.points(points), class_=class_, marker_end="url(#arrow)")


def _short(words: str, room: int) -> str:
    return words if len(words) <= room else f"{words[: room - 1]}…"
