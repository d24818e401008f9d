"""Score marker genes of labels, and choose cells as seeds."""
