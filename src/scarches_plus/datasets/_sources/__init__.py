"""Where data sets come from: downloads and the design of simulations."""
