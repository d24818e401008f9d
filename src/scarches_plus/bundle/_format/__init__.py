"""Write the files of a bundle, and check them when they are read.

One Python file for each of them.
"""
