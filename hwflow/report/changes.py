# SPDX-License-Identifier: Apache-2.0
"""What the report of a comparison shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hwflow.report import text
from hwflow.report.compare import Change, Comparison
from hwflow.report.page import State, Verdict

#: How a change is marked, by its verdict.
MARKS: Mapping[str, State] = {"worse": "bad", "better": "good"}


def content(comparison: Comparison) -> dict[str, Any]:
    """What the template and the Markdown of a comparison show."""
    counts = Counter(change.verdict for change in comparison.changes)
    worse = counts["worse"]
    title = f"{text.plural(worse, 'regression')}" if worse else "No regression"
    detail = (
        f"{counts['better']:,} better, {worse:,} worse, {counts['equal']:,} equal of "
        f"{text.plural(len(comparison.changes), 'figure')}."
    )
    return {
        "title": f"{comparison.a.name} → {comparison.b.name}",
        "verdict": Verdict("bad" if worse else "good", title, detail),
        "a": comparison.a.name,
        "b": comparison.b.name,
        "changes": [
            (change, text.plain(change.a), text.plain(change.b), _ratio(change))
            for change in comparison.changes
        ],
        "equal": counts["equal"],
        "marks": MARKS,
        "folding": comparison.folding,
        "keys": comparison.keys,
    }


def _ratio(change: Change) -> str:
    return "" if change.ratio is None or not change.ratio else text.error(change.ratio)
