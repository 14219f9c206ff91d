"""One file a command; each exports one click command of its own name, `wdm.cli` imports it when it is used."""
