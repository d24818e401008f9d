"""Run every experiment, one after another, in one process.

    python experiments/all.py --small                        # under 8 minutes on one core
    python experiments/all.py --small --only scanvi clcvae   # those whose names begin so
    python experiments/all.py --small --method identity      # every one has to fail

Prints a line for each claim, a line for each script with its seconds, and exits with 1 if a claim does not hold (with
``--method identity``: if some script has no claim that fails).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from _experiment import IDENTITY, PACKAGE, ClaimError, measure, options_of, require, summary

HERE = Path(__file__).parent
NAMES = sorted(file.stem for file in HERE.glob("*.py") if file.stem != "all" and not file.stem.startswith("_"))


def run(name: str, method: str = PACKAGE, seeds: tuple[int, ...] = (0,)):
    """Run the small mode of a script; return its table and the claims of each seed."""
    script = importlib.import_module(name)
    given = ["--small", "--method", method, "--seeds", *map(str, seeds)]
    return measure(script.run, options_of(getattr(script, "ARGUMENTS", None), given))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", required=True, help="the only mode in which all can run")
    parser.add_argument("--method", choices=[PACKAGE, IDENTITY], default=PACKAGE)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of names")
    options = parser.parse_args()
    bad = []
    begun, used = time.perf_counter(), time.process_time()
    for name in NAMES:
        if not name.startswith(tuple(options.only)):
            continue
        start, cpu = time.perf_counter(), time.process_time()
        _, claims = run(name, options.method, options.seeds)
        try:
            require(claims)
            failed = False
        except ClaimError:
            failed = True
        if failed is (options.method == PACKAGE):
            bad.append(name)
        table = summary(claims).drop(columns="paper").to_string(index=False, float_format="{:.3f}".format)
        print(
            f"\n== {name}: {time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of CPU\n{table}",
            flush=True,
        )
    print(f"\n{time.perf_counter() - begun:.0f} s, {time.process_time() - used:.0f} s of CPU")
    if bad:
        sys.exit(f"not as they should be: {', '.join(bad)}")


if __name__ == "__main__":
    main()
