"""The whole way on real parts."""
