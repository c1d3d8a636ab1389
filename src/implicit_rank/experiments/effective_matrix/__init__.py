"""Chapter 1: what gradient descent does to a product of matrices (Sun 2021, equations 1 to 7)."""
