"""Read, match and change names of genes, by their spelling and by the tables of human and mouse that lie here."""
