#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of this folder as the integration tests are run: real processes, a base of its own for each."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE)]
import run  # noqa: E402

if __name__ == "__main__":
    sys.exit(run.main(HERE))
