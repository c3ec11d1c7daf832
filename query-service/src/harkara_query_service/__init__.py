"""Answers what happened, over REST."""
