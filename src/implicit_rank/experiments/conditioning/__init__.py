"""Chapter 10: condition numbers and curvature at the optimum (Bao 2020, 4.3 and 5)."""
