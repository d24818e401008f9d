"""Read what commands are given, and write what they make."""
