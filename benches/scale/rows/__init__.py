"""The rows, by name."""

from .asked import Asked
from .clocks import clocks
from .cluster import cluster
from .discovery import discovery
from .idle import idle
from .links import links
from .redis import redis
from .relay import relay
from .watchers import watchers

ROWS = {row.__name__: row for row in (cluster, redis, relay, watchers, links, idle, discovery, clocks)}

__all__ = ["ROWS", "Asked"]
