"""The book's pipeline: pair, execute, build, check.

Nothing here imports torch: a build with nothing to do must stay fast.
"""
