"""Figures and tables of chapters 6 and 7."""
