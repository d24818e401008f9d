"""Find novel cells step by step: pooled expression, contrasts with labels, calls."""
