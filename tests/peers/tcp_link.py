"""The wire that tests cut is the demo's: see demo/link.py for what it can do."""

from demo.link import TcpLink, tcp_link

__all__ = ["TcpLink", "tcp_link"]
