"""One provider a module, each an implementation of a port. Adapters do not know one another.

A module here imports its provider's library, so nothing imports the module before it is used.
"""
