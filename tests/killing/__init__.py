"""Parts of kill_anything.py: moments and processes, what a store must be after a kill, one module a kind of kill."""
