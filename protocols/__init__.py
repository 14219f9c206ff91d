"""The code inside a service: the protocols, the shop, and the shell around them."""
