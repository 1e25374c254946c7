"""The image and compose.yaml, on a real Docker engine that the tests start and end themselves.

The engine has namespaces of its own for its network, its mounts and its processes: its bridges and
rules are not the machine's, its ports are nobody else's, and nothing of it is left.
"""
