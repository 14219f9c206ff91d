"""Scenarios as data: one TOML file each, a workload, a fault schedule and what must hold."""
