"""The harkara command: runs the mesh and talks to it."""
