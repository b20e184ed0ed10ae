"""Secrets by reference: reading each once, and keeping its value out of everything that is written.

No message, plan or file that leaves this room holds a value.
"""
