#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder as the integration tests are run: real processes, a base of its own for each.
`run.py attempts --table docs/attempts.md` writes that page instead of comparing with it."""

import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]
import run  # noqa: E402

if __name__ == "__main__":
    if "--table" in sys.argv:
        at = sys.argv.index("--table")
        os.environ["SOCLE_ATTEMPTS_TABLE"] = sys.argv[at + 1]
        del sys.argv[at : at + 2]
    sys.exit(run.main(HERE))
