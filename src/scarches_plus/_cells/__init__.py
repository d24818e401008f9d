"""How cells are read: names out of columns, columns out of tables, matrices as our code takes them.

One reader each, below everything else, so that the same label, column or damage reads the same wherever it is met. Checks that
need a reference live in ``pp``.
"""
