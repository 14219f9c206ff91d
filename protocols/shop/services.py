"""The services of the shop, and where each begins in the public interface."""

PREFIXES = {"order": "/orders", "stock": "/stock", "payment": "/payment"}
SERVICES = tuple(PREFIXES)
