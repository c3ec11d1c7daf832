"""What is done, in which order: the only orchestration. It knows the ports, and no adapter."""

from harkara_edge.service.client import Client
from harkara_edge.service.edge import EdgeService

__all__ = ["Client", "EdgeService"]
