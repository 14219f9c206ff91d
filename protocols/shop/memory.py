"""How much memory a store of the shop may have."""

MB = 2**20
STORE_MEMORY_MB = 256
"""What a store may have, unless somebody says otherwise."""
