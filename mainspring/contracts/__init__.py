"""What crosses the border between workflow and activities, clients and runs: names and frozen payloads.

Each activity, update and query takes one model and returns one; new fields have defaults.
"""
