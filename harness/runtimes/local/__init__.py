"""The local runtime: services, stores and gateway as processes of this machine, bound to loopback only."""
