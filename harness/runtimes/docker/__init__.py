"""The docker runtime: the shop of `docker-compose.yml`, brought up by Compose and broken through the engine's interface."""
