"""Tables for people, as text and as HTML.

Nothing here knows what the rows are about.
"""
