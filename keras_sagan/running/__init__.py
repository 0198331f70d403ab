"""From a config to a run: what a folder of it holds, devices, training, and its callbacks."""
