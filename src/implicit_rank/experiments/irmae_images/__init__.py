"""Chapter 4: plain, variational and rank-minimising autoencoders of images (Jing 2020, 4.2 and 4.3)."""
