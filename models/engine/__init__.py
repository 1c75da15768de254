"""A network over a whole picture: devices, tiles, memory, progress."""
