# SPDX-License-Identifier: Apache-2.0
"""``hwflow doctor``: what is there, what is missing, how to get it."""

from __future__ import annotations

import typer

from hwflow.cli.common import JsonFlag, emit_json, guarded, table
from hwflow.errors import EXIT_USER


@guarded
def doctor(as_json: JsonFlag = False) -> None:
    """Show every program and package hwflow uses, and how to get what is missing.

    Exit code 1 when something is missing that `hwflow run` needs.
    """
    from hwflow.tools.versions import REQUIREMENTS, found_version

    found = {requirement.name: found_version(requirement) for requirement in REQUIREMENTS}
    missing = [r for r in REQUIREMENTS if r.steps and found[r.name] is None]
    if as_json:
        emit_json(
            {
                "ok": not missing,
                "requirements": [
                    {
                        "name": r.name,
                        "kind": r.kind,
                        "version": found[r.name],
                        "purpose": r.purpose,
                        "remedy": r.remedy,
                        "required": bool(r.steps),
                    }
                    for r in REQUIREMENTS
                ],
            }
        )
    else:
        rows = [
            (
                r.name,
                found[r.name] or ("MISSING" if r.steps else "absent"),
                r.purpose + ("" if r.steps else " (optional)"),
                "" if found[r.name] else r.remedy,
            )
            for r in REQUIREMENTS
        ]
        table(("needs", "version", "for", "how to get it"), rows)
        names = ", ".join(r.name for r in missing)
        typer.echo(
            f"missing for `hwflow run`: {names}" if missing else "everything `hwflow run` needs is there"
        )
    if missing:
        raise typer.Exit(EXIT_USER)
