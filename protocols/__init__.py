"""What runs inside a service: the protocols, the shop they serve, and the shell around them."""
