"""The face: click commands, configuration and exit codes; everything else lives in the harness."""
