"""`python -m harkara_cli`: the `harkara` command."""

import os
import sys

# Before anything imports gRPC: its fork handlers may bring down a child between fork and exec, and `up`
# starts children after it has spoken gRPC.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from harkara_cli import standard_streams
from harkara_cli.main import main

if __name__ == "__main__":
    standard_streams.prepare()
    sys.exit(main())
