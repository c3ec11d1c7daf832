"""Terminates the WebSockets of phones and browsers."""
