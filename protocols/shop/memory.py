"""The memory of a store of the shop."""

MB = 2**20
STORE_MEMORY_MB = 256
"""The default memory limit of a store."""
