"""The programs and kits that leave Python."""
