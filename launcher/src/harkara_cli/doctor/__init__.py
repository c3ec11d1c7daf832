"""What `doctor` looks at: this machine and what is installed, the data folder, the running mesh."""
