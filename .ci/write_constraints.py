r"""Write constraints.txt from what pip resolves on Python 3.11 and on a newer one.

    python3.11 -m pip install --dry-run --ignore-installed --report 311.json -e . --group dev --group doc --group page \
        --group release --group bench
    python3.12 -m pip install --dry-run --ignore-installed --report 312.json -e . --group dev --group doc --group page \
        --group release --group bench
    python .ci/write_constraints.py 311.json 312.json > constraints.txt

Run the suite on both before committing the result. Needs pip 25.1 or newer.
"""

import json
import re
import sys
from pathlib import Path

HEADER = """\
# Versions that CI passes with: `pip install -c constraints.txt scarches-plus` gives what the tests ran on.
# Written by .ci/write_constraints.py; do not edit by hand. Python 3.11 is the last that scvi-tools 1.4, anndata 0.12
# and pandas 2 go together on; 3.12 and newer get the current releases.
# torch names its own CUDA libraries exactly, so they are not repeated here.
"""
CUDA = re.compile(r"^(cuda|nvidia|triton)(-|$)")


def versions(report: str) -> dict[str, str]:
    """Names and versions in a pip report, without this package, CUDA and local build tags."""
    found = {}
    for item in json.loads(Path(report).read_text())["install"]:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        if name != "scarches-plus" and not CUDA.match(name):
            found[name] = item["metadata"]["version"].split("+")[0]
    return found


def lines(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """One line per package, or one per side where the sides differ."""
    result = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            result.append(f"{name}=={old[name]}")
            continue
        if name in old:
            result.append(f'{name}=={old[name]} ; python_version < "3.12"')
        if name in new:
            result.append(f'{name}=={new[name]} ; python_version >= "3.12"')
    return result


if __name__ == "__main__":
    sys.stdout.write(HEADER + "\n".join(lines(versions(sys.argv[1]), versions(sys.argv[2]))) + "\n")
