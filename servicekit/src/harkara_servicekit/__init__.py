"""Process plumbing that two services or more use."""
