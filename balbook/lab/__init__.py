"""A disposable fleet for rehearsing."""
