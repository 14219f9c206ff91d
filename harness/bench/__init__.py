"""How fast a shop is while it is judged: load that counts stalls, rounds that take turns, what a checkout costs."""
