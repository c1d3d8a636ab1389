"""Figures and tables of chapter 12."""
