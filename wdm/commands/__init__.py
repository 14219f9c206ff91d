"""One file a command; each exports one click command, `wdm.cli` collects them."""
