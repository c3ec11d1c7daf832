"""What is done, in which order: the only orchestration. It knows the ports, and no adapter."""
