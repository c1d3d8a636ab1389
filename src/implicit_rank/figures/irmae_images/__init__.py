"""Figures of chapter 4."""
