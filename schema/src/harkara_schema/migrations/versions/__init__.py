"""One file for each revision, oldest first. A released one is never edited."""
