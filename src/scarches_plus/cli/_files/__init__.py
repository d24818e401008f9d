"""Read the input files of commands, and write their outputs."""
