"""The data of a protocol in a store, for any shop: tables of records, lives of instances, fences. Python and Lua."""
