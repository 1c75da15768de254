"""What the benchmarks compute, and that they run."""
