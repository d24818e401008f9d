"""Steps of finding novel cells: pooled expression, contrasts with labels, the cells that were called."""
