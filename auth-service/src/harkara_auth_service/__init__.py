"""Knows the users and says whom a token speaks for."""
