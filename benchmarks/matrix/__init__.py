"""Methods x data sets x seeds, scored alike: see docs/guide/benchmarks.md.

One file per reason to change: what is run (``matrix.yaml``, ``_config``), the cells (``_data``), the methods
(``_methods`` ours, ``_peers`` others'), their scores (``_scores``), how runs are spread and kept (``_run``, ``_rows``),
and what is made of them (``_table``, ``_figures``).
"""
