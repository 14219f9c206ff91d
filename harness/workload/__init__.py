"""Clients, generators and load: what asks things of a shop."""
