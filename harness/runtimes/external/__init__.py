"""The nodes of a shop that somebody else has started: processes, shell commands, containers of a Compose project."""
