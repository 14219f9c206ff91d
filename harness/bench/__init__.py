"""Benches: load that counts stalls, rounds in which the candidates take turns, and a judged run for each."""
