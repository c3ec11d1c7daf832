"""The rules: pure, time and all else that varies are arguments."""
