"""Every limit is in the guide, with its value."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "guide" / "border.md").read_text()
UNITS = {"kiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def test_the_guide_names_every_limit_and_its_value():
    values = runpy.run_path(ROOT / "src" / "scarches_plus" / "_limits.py")
    limits = {name: value for name, value in values.items() if name.isupper()}
    assert set(re.findall(r"`([A-Z][A-Z0-9_]+)`", PAGE)) == set(limits)
    for name, value in limits.items():
        number, unit = re.search(rf"`{name}`(?: and `[A-Z_0-9]+`)? ([\d,]+) ?([kMG]iB)?", PAGE).groups()
        assert int(number.replace(",", "")) * UNITS.get(unit, 1) == value, name
