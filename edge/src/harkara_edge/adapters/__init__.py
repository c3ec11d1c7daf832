"""One job each: the sockets, the Attach stream, the auth-service."""
