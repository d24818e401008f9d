"""Take what references are built of: cells, files of them, collections and data modules."""
