"""Unmodified ZooKeeper clients against servers that are processes of their own."""
