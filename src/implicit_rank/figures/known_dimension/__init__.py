"""Figures and tables of chapter 3."""
