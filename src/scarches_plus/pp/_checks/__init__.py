"""Find what is wrong with cells: with values, names of genes, columns, proteins. ``check_query`` puts the checks together."""
