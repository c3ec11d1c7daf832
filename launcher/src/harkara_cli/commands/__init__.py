"""The commands: what they are called, what they take and what they print. One module for each group."""
