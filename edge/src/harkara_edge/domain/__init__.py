"""The rules of the client protocol: pure. No sockets, no clock, no randomness; time and ids are arguments."""
