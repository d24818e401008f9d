"""Replace folders atomically, and read them while others may replace them."""
