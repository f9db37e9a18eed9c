#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the integration tests: every test_* function of test_*.py in this folder, a few at a time,
each with a base of its own. `run.py [-j N] [-v] [PATTERN...]`; the last line is "N passed, N failed", before it, when
there are any, "N skipped" with what they lack on the lines of their own."""

import argparse
import concurrent.futures
import importlib
import os
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import harness  # noqa: E402


def collect(folder, patterns):
    tests = []
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, fn in vars(module).items():
            full = f"{path.stem[5:]}.{name[5:]}"
            if name.startswith("test_") and callable(fn) and (not patterns or any(p in full for p in patterns)):
                tests.append((full, fn))
    # what takes long comes first
    return sorted(tests, key=lambda t: -getattr(t[1], "weight", 0))


def run(name, fn):
    begin = time.monotonic()
    base = harness.Base(name.replace(".", "-"))
    try:
        try:
            fn(base)
        finally:
            log = base.log() if os.path.exists(base.path("socled.log")) else ""
            base.close()
        return name, None, time.monotonic() - begin, log
    except harness.Skipped as e:
        return name, e, time.monotonic() - begin, ""
    except Exception as e:  # a test may fail in any way
        text = str(e) if isinstance(e, harness.Failure) else traceback.format_exc()
        where = [f for f in traceback.extract_tb(e.__traceback__) if "test_" in f.filename]
        line = f" ({os.path.basename(where[-1].filename)}:{where[-1].lineno})" if where else ""
        return name, text + line, time.monotonic() - begin, log


def main(folder=HERE):
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=3)
    parser.add_argument("-v", action="store_true")
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args()
    nothing = [p for p in args.patterns if not collect(folder, [p])]
    if nothing:
        parser.error(f"no test's name has {', '.join(nothing)} in it")
    passed = failed = skipped = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        futures = [pool.submit(run, name, fn) for name, fn in collect(folder, args.patterns)]
        for future in concurrent.futures.as_completed(futures):
            name, error, seconds, log = future.result()
            if error is None:
                passed += 1
                print(f"ok      {name} ({seconds:.1f} s)", flush=True)
                if args.v:
                    print(log)
            elif isinstance(error, harness.Skipped):
                skipped += 1
                print(f"skipped {name}: {error}", flush=True)
            else:
                failed += 1
                print(f"FAILED  {name} ({seconds:.1f} s): {error}\n--- log of socled\n{log[-6000:]}---", flush=True)
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed + skipped else 0


if __name__ == "__main__":
    sys.exit(main())
