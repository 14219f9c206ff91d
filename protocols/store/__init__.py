"""What a protocol keeps in a store, whatever the shop: tables of records, lives of instances, fences. Python and Lua."""
