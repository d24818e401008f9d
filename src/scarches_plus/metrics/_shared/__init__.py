"""Share parts among metrics: checks, neighbours, votes, scib-metrics."""
