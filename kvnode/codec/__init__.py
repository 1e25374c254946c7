"""Bytes to messages and back: the one place that knows msgpack, and all wire limits.

Whatever comes in is hostile until it is decoded here; what fails raises `MalformedError`.
The formats are specified in docs/PROTOCOL.md.
"""
