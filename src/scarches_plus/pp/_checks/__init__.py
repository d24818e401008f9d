"""Check counts, gene names, columns and proteins of cells.

``check_query`` puts the checks together.
"""
