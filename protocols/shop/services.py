"""The services of the shop, and their prefixes in the public interface."""

PREFIXES = {"order": "/orders", "stock": "/stock", "payment": "/payment"}
SERVICES = tuple(PREFIXES)
