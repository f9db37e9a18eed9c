# SPDX-License-Identifier: Apache-2.0
"""docs/attempts.md: a row for each attempt, a column for each environment that was tried. Written from runs, and read again to
be compared with them."""

import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/attempts.md"
COLUMNS = ("root", "rootless", "VM")
HEAD = """# Attempts to get out

What a hostile module tries, one attempt a request, and what comes of it. Written by `tests/hostile/run.py attempts --table docs/attempts.md` from runs of the module `tests/modules/attacker` (its `attempts.def` says
what should come of it, and why what is allowed is), never by hand; `make test` makes the attempts again and fails on any difference. Before and after each one a control request to the module itself and to two
neighbours has to be answered with 200, the neighbours' secrets have to be as they were, and no process but the module's own may have been replaced.

{environments}

A cell has the layer that stopped it, the error that the module got or *ended* when its worker was killed for it, and behind the semicolon what the operator is told (`soclectl events`, `soclectl logs`); where there is no semicolon,
nothing: an attempt that does nothing is not news. Of several layers it is the first. *seccomp* is worked out from the filters that the kernel has for the worker, *uid* and *Landlock* by the same attempt of a process of that uid without
Landlock; other layers are those of `attempts.def`, which the error has to fit. *not here*: this host does not have what it is tried on; -: not tried there.
"""
ENVIRONMENTS = {
    "root": "started as root; a host without cgroup controllers, Landlock with scopes",
    "rootless": "started by another user than root, on the same host",
    "VM": "started by systemd as root, all controllers; Linux 6.1, Landlock ABI 2, without scopes and TCP (`make test-system VM=1`)",
}


def read():
    """name -> {column: cell}"""
    cells, columns = {}, []
    if not PAGE.exists():
        return cells
    for line in PAGE.read_text().splitlines():
        fields = [f.strip() for f in line.strip("|").split("|")]
        if line.startswith("| attempt |"):
            columns = fields[2:-1]
        elif line.startswith("| `"):
            cells[fields[0].strip("`")] = dict(zip(columns, fields[2:]))
    return cells


def write(attempts, cells, path=PAGE):
    """What is not in the table any more goes; who was not run keeps what it had."""
    lines = [HEAD.format(environments="\n".join(f"* **{c}**: {ENVIRONMENTS[c]}" for c in COLUMNS))]
    section = None
    for a in attempts:
        if a.section != section:
            section = a.section
            lines += [f"## {section}", "", f"| attempt | what it does | {' | '.join(COLUMNS)} | why that is so |", "|---" * (len(COLUMNS) + 3) + "|"]
        row = [cells.get(a.name, {}).get(c, "-") for c in COLUMNS]
        lines.append(f"| `{a.name}` | {a.what} | {' | '.join(row)} | {a.why} |")
        if a is attempts[-1] or attempts[attempts.index(a) + 1].section != section:
            lines.append("")
    pathlib.Path(path).write_text(re.sub(r"\n+\Z", "\n", "\n".join(lines)))
