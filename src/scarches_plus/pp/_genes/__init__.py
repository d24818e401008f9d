"""Read, match and rename genes by their spelling and by tables of human and mouse."""
