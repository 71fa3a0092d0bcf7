"""Types shared by all rooms: settings, examples, cells, records, errors, the plug-in registry."""
