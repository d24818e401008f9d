"""Place cells in a fixed picture of a reference, and measure which of its states they cover."""
