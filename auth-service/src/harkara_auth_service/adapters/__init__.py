"""What touches the world, one job each."""
