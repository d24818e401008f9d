"""Files of a bundle, one Python file each: how they are written, and how they are read with suspicion."""
