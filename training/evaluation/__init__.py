"""How good a network is, in numbers that cannot be had by a trick, and on sheets for the eye.

Only pictures with a true original are measured; doing nothing, bicubic and Lanczos stand in the same table. No names
are listed here, so that the command can prepare its process before anything loads torch.
"""
