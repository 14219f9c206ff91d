"""One file a command; each exports one click command of its own name, `wdm.cli` loads it when it is asked for."""
