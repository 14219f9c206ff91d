"""Stores with several servers: the client of a service, a server as an elector uses it, and the elector's process."""
