"""One job each: what speaks to Postgres, to gRPC, to other replicas."""
