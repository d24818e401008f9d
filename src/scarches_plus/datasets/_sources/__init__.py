"""Download data sets, and design the cells of simulations."""
