"""The pure rules: no clock, no sockets, no randomness."""
