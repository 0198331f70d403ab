"""Files that are whole whatever happens, on each operating system."""
