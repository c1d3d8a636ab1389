"""Chapters 6 and 7: chains in autoencoders of MNIST and CIFAR-10 (Sun 2021, 3.2)."""
