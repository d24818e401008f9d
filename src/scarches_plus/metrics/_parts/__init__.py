"""Parts that several metrics share: checks, neighbours, votes, scib-metrics."""
